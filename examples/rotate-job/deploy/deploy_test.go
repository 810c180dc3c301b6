// Package deploy checks the files that run rotate-job.
package deploy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/rekey-go/rekey/examples/rotate-job/job"
	"github.com/rekey-go/rekey/rotate"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// documents are those of a YAML file, by their kind.
func documents(t *testing.T, path string) map[string]map[string]any {
	t.Helper()
	all := make(map[string]map[string]any)
	d := yaml.NewDecoder(strings.NewReader(read(t, path)))
	for {
		one := make(map[string]any)
		err := d.Decode(&one)
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		kind, _ := one["kind"].(string)
		all[kind] = one
	}
}

// at walks down a document: keys and indexes.
func at(t *testing.T, v any, path ...any) any {
	t.Helper()
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, ok := v.(map[string]any)
			require.True(t, ok, "%v", path)
			require.Contains(t, m, p)
			v = m[p]
		case int:
			l, ok := v.([]any)
			require.True(t, ok, "%v", path)
			require.Greater(t, len(l), p)
			v = l[p]
		}
	}
	return v
}

func texts(t *testing.T, v any) (all []string) {
	t.Helper()
	for _, x := range v.([]any) {
		all = append(all, x.(string))
	}
	return all
}

// known runs a command with -h behind its flags: those that are not there are
// refused before that.
func known(t *testing.T, args []string) {
	t.Helper()
	require.Contains(t, job.Commands(), args[0])
	var errs bytes.Buffer
	j := &job.Job{Stdout: io.Discard, Stderr: &errs}
	require.Equal(t, job.Done, j.Run(t.Context(), append(slices.Clone(args), "-h")), "%q: %s", args, &errs)
}

func TestKubernetes(t *testing.T) {
	all := documents(t, "kubernetes/rotate-job.yaml")
	pod := at(t, all["CronJob"], "spec", "jobTemplate", "spec", "template", "spec")
	known(t, texts(t, at(t, pod, "containers", 0, "args")))
	account := at(t, all["ServiceAccount"], "metadata", "name")
	require.Equal(t, account, at(t, pod, "serviceAccountName"))
	require.Equal(t, account, at(t, all["RoleBinding"], "subjects", 0, "name"))
	require.Equal(t, at(t, all["Role"], "metadata", "name"), at(t, all["RoleBinding"], "roleRef", "name"))
	require.Equal(t, "Forbid", at(t, all["CronJob"], "spec", "concurrencyPolicy"))

	// The rights are those that the store documents, for the case that the second
	// Secret is there, and for the Secret that the configuration names.
	rules, ok := at(t, all["Role"], "rules").([]any)
	require.True(t, ok)
	require.Len(t, rules, 1)
	require.Equal(t, []string{"get", "update"}, texts(t, at(t, rules[0], "verbs")))
	require.Equal(t, []string{"orders", "orders-rekey"}, texts(t, at(t, rules[0], "resourceNames")))
	require.Contains(t, read(t, "../../../rotate/kubernetes/doc.go"), "verbs: [get, update]\n")
	config, ok := at(t, all["ConfigMap"], "data", "rotate-job.yaml").(string)
	require.True(t, ok)
	require.Contains(t, config, "kubernetes: {namespace: shop, name: orders}")

	// And the command takes this configuration.
	path := filepath.Join(t.TempDir(), "rotate-job.yaml")
	config = strings.ReplaceAll(config, "&sslrootcert=/etc/rotate-job/ca.crt", "") // which is not here
	require.NoError(t, os.WriteFile(path, []byte(config), 0o600))
	asked := errors.New("the store was asked for")
	var out bytes.Buffer
	j := &job.Job{Stdout: &out, Stderr: t.Output(), Stores: map[string]job.OpenStore{
		"kubernetes": func(_ context.Context, decode func(any) error) (rotate.Store, error) {
			var c struct{ Namespace, Name string }
			return nil, errors.Join(asked, decode(&c))
		},
	}}
	require.Equal(t, job.Failed, j.Run(t.Context(), []string{"status", "-config", path}))
	require.Contains(t, out.String(), asked.Error())
}

func TestSystemd(t *testing.T) {
	service := read(t, "systemd/rotate-job.service")
	command := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/rotate-job (.*)$`).FindStringSubmatch(service)
	require.NotNil(t, command)
	known(t, strings.Fields(command[1]))
	require.Contains(t, service, "\nSuccessExitStatus=3\n")
	require.Equal(t, 3, job.NotApproved)
	require.Contains(t, read(t, "systemd/rotate-job.timer"), "\nPersistent=true\n")

	verify, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("no systemd here to verify the units with")
		return
	}
	// What is to be executed need not be installed here.
	dir := t.TempDir()
	for _, unit := range []string{"rotate-job.service", "rotate-job.timer"} {
		text := strings.ReplaceAll(read(t, "systemd/"+unit), "/usr/local/bin/rotate-job", "/bin/true")
		require.NoError(t, os.WriteFile(filepath.Join(dir, unit), []byte(text), 0o644))
	}
	out, err := exec.CommandContext(t.Context(), verify, "verify", "--man=no", filepath.Join(dir, "rotate-job.service"), filepath.Join(dir, "rotate-job.timer")).CombinedOutput()
	for line := range strings.Lines(string(out)) { // of other units of the machine it may complain
		require.NotContains(t, line, "rotate-job", "%v", err)
	}
}

func TestPipeline(t *testing.T) {
	workflow := documents(t, "ci/github-actions.yaml")[""]
	require.Equal(t, "production", at(t, workflow, "jobs", "apply", "environment"))
	require.Equal(t, "prepare", at(t, workflow, "jobs", "apply", "needs"))
	var commands []string
	for _, name := range []string{"prepare", "apply"} {
		for _, step := range at(t, workflow, "jobs", name, "steps").([]any) {
			script, _ := step.(map[string]any)["run"].(string)
			for _, found := range regexp.MustCompile(`rotate-job ([a-z]+[^\n;|]*)`).FindAllStringSubmatch(script, -1) {
				args := strings.Fields(regexp.MustCompile(`"[^"]*("\$f" [^"]*")?[^"]*"`).ReplaceAllString(found[1], "x"))
				known(t, args)
				commands = append(commands, args[0])
			}
		}
	}
	require.Equal(t, []string{"plan", "run", "approve", "run", "status"}, commands)
}
