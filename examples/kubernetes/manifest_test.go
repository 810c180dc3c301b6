package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// A manifest is one of the files beside this one.
type manifest struct {
	name string
	text string
	docs []doc
	deployment
}

// A doc is one document, as whoever applies it sees it.
type doc struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name, Namespace string }
	Spec       yaml.Node
	text       string
}

// A deployment is what the tests want to know of one.
type deployment struct {
	Template struct {
		Metadata struct{ Annotations map[string]string }
		Spec     struct {
			Grace      int    `yaml:"terminationGracePeriodSeconds"`
			Account    string `yaml:"serviceAccountName"`
			Share      bool   `yaml:"shareProcessNamespace"`
			Containers []struct {
				Name  string
				Args  []string
				Env   []any
				From  []any `yaml:"envFrom"`
				Ports []struct {
					Port int `yaml:"containerPort"`
				}
				Startup   probe `yaml:"startupProbe"`
				Readiness probe `yaml:"readinessProbe"`
				Liveness  probe `yaml:"livenessProbe"`
				Lifecycle struct {
					PreStop struct{ Sleep struct{ Seconds int } } `yaml:"preStop"`
				}
				Mounts []volumeMount `yaml:"volumeMounts"`
			}
			Volumes []struct {
				Name   string
				Secret struct {
					Name string `yaml:"secretName"`
				}
				CSI struct {
					Driver     string
					Attributes map[string]string `yaml:"volumeAttributes"`
				}
			}
		}
	}
}

type volumeMount struct {
	Name    string
	Path    string `yaml:"mountPath"`
	SubPath string `yaml:"subPath"`
}

type probe struct {
	Get struct{ Path, Port string } `yaml:"httpGet"`
}

func manifests(t *testing.T) (all []*manifest) {
	t.Helper()
	files, err := filepath.Glob("*.yaml")
	require.NoError(t, err)
	require.Len(t, files, 6)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		m := &manifest{name: file, text: string(text)}
		for part := range strings.SplitSeq(m.text, "\n---\n") {
			d := doc{text: part}
			require.NoError(t, yaml.Unmarshal([]byte(part), &d), file)
			m.docs = append(m.docs, d)
		}
		require.NoError(t, m.spec(t, "Deployment").Decode(&m.deployment), file)
		all = append(all, m)
	}
	return all
}

// spec is that of the manifest's one document of that kind.
func (m *manifest) spec(t *testing.T, kind string) *yaml.Node {
	t.Helper()
	for i, d := range m.docs {
		if d.Kind == kind {
			return &m.docs[i].Spec
		}
	}
	t.Fatalf("%s has no %s", m.name, kind)
	return nil
}

// flags are what the service makes of the arguments.
func (m *manifest) flags(t *testing.T) flags {
	t.Helper()
	f, err := parse(m.Template.Spec.Containers[0].Args, io.Discard)
	require.NoError(t, err, m.name)
	return f
}

// at is where the service looks for its credential.
func (m *manifest) at(t *testing.T) (mountPath string) {
	f := m.flags(t)
	if f.dir != "" {
		return f.dir
	}
	return filepath.Dir(f.json)
}

const agentFile = "vault.hashicorp.com/agent-inject-secret-"

// files returns what the manifest has put where the service looks: the names of
// the files, and the keys of the credential that are in them; "": all, as JSON.
func (m *manifest) files(t *testing.T) map[string]string {
	t.Helper()
	pod, files := m.Template.Spec, map[string]string{}
	for annotation := range m.Template.Metadata.Annotations {
		if name, ok := strings.CutPrefix(annotation, agentFile); ok {
			require.Equal(t, "/vault/secrets", m.at(t), "where the injector mounts")
			files[name] = ""
		}
	}
	mounts := pod.Containers[0].Mounts
	i := slices.IndexFunc(mounts, func(v volumeMount) bool { return v.Path == m.at(t) })
	if i < 0 {
		return files
	}
	for _, v := range pod.Volumes {
		switch {
		case v.Name != mounts[i].Name:
		case v.Secret.Name != "":
			require.Equal(t, "shop-db", v.Secret.Name)
			for _, key := range m.keys(t) {
				files[key] = key
			}
		case v.CSI.Driver == "secrets-store.csi.k8s.io":
			for name, key := range m.objects(t, v.CSI.Attributes["secretProviderClass"]) {
				files[name] = key
			}
		}
	}
	return files
}

// keys are those of the Secret.
func (m *manifest) keys(t *testing.T) (keys []string) {
	t.Helper()
	if m.name != "external-secrets.yaml" {
		for _, found := range regexp.MustCompile(`create secret generic shop-db .*`).FindAllString(m.text, -1) {
			for _, key := range regexp.MustCompile(`--from-(?:literal|file)=(\w+)`).FindAllStringSubmatch(found, -1) {
				keys = append(keys, key[1])
			}
		}
		return keys
	}
	var external struct {
		Target struct {
			Name     string
			Template struct{ Data map[string]string }
		}
		DataFrom []struct{ Extract struct{ Key string } } `yaml:"dataFrom"`
		Store    struct{ Kind, Name string }              `yaml:"secretStoreRef"`
	}
	require.NoError(t, m.spec(t, "ExternalSecret").Decode(&external))
	require.Equal(t, "shop-db", external.Target.Name)
	require.Len(t, external.DataFrom, 1, "one read")
	require.True(t, slices.ContainsFunc(m.docs, func(d doc) bool {
		return d.Kind == external.Store.Kind && d.Metadata.Name == external.Store.Name
	}))
	for key, value := range external.Target.Template.Data {
		require.Equal(t, "{{ ."+key+" }}", value)
		keys = append(keys, key)
	}
	return keys
}

// objects are the files of a SecretProviderClass.
func (m *manifest) objects(t *testing.T, class string) map[string]string {
	t.Helper()
	var provider struct {
		Provider   string
		Parameters map[string]string
	}
	require.True(t, slices.ContainsFunc(m.docs, func(d doc) bool {
		return d.Kind == "SecretProviderClass" && d.Metadata.Name == class
	}))
	require.NoError(t, m.spec(t, "SecretProviderClass").Decode(&provider))
	var objects []struct {
		Name  string `yaml:"objectName"`
		Alias string `yaml:"objectAlias"`
		Type  string `yaml:"objectType"`
		Path  string `yaml:"secretPath"`
		Key   string `yaml:"secretKey"`
	}
	d := yaml.NewDecoder(strings.NewReader(provider.Parameters["objects"]))
	d.KnownFields(true)
	require.NoError(t, d.Decode(&objects))
	files := map[string]string{}
	for _, o := range objects {
		switch provider.Provider {
		case "vault":
			require.NotEmpty(t, o.Path)
			require.Equal(t, objects[0].Path, o.Path, "one read")
			files[o.Name] = o.Key
		case "aws":
			require.Equal(t, "secretsmanager", o.Type)
			files[o.Alias] = ""
		}
	}
	return files
}

// What the manifest mounts is what the service reads, and nothing is mounted in a
// way that is never updated.
func TestManifestsFitTheService(t *testing.T) {
	for _, m := range manifests(t) {
		t.Run(m.name, func(t *testing.T) {
			f, pod := m.flags(t), m.Template.Spec
			require.Len(t, pod.Containers, 1)
			c := pod.Containers[0]
			if f.dir != "" {
				require.Equal(t, map[string]string{"username": "username", "password": "password"}, m.files(t))
			} else {
				require.Equal(t, map[string]string{filepath.Base(f.json): ""}, m.files(t))
			}
			for _, v := range c.Mounts {
				require.Empty(t, v.SubPath)
			}
			require.Empty(t, c.Env)
			require.Empty(t, c.From)
			require.Equal(t, ":8080", f.listen)
			require.Equal(t, 8080, c.Ports[0].Port)
			require.Greater(t, time.Duration(pod.Grace)*time.Second,
				time.Duration(c.Lifecycle.PreStop.Sleep.Seconds)*time.Second+shutdown)

			accounts := 0
			for _, d := range m.docs {
				require.Equal(t, "shop", d.Metadata.Namespace)
				if d.Kind == "ServiceAccount" && d.Metadata.Name == pod.Account {
					accounts++
					require.Contains(t, d.text, "\nautomountServiceAccountToken: false")
				}
			}
			require.Equal(t, 1, accounts)

			command := m.Template.Metadata.Annotations["vault.hashicorp.com/agent-inject-command-database.json"]
			require.Equal(t, f.sighup, pod.Share)
			require.Equal(t, f.sighup, command != "")
			if f.sighup {
				require.Equal(t, "pkill -HUP -x "+c.Name+" || true", command)
			}
		})
	}
}

func TestFlags(t *testing.T) {
	for _, args := range [][]string{
		{},
		{"-dir", "/d"},
		{"-database", "postgres://db/shop"},
		{"-database", "postgres://db/shop", "-dir", "/d", "-json", "/f"},
		{"-databse", "postgres://db/shop", "-dir", "/d"},
	} {
		_, err := parse(args, io.Discard)
		require.Error(t, err, "%q", args)
	}
	f, err := parse([]string{"-database", "postgres://db/shop", "-json", "/f", "-sighup", "-max-age=1h"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, flags{database: "postgres://db/shop", json: "/f", sighup: true, maxAge: time.Hour, listen: ":8080"}, f)
}
