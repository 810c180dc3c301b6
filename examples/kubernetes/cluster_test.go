package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/kubeserver"
)

func TestMain(m *testing.M) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP) // see main
	code := m.Run()
	if shared.server != nil {
		shared.client.CloseIdleConnections()
		if err := shared.server.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// shared is the cluster of all tests: a real API server with the definitions of
// the operators' own kinds, and the namespace of the manifests, in which pods have
// to keep the strictest of the Pod Security Standards.
var shared struct {
	once   sync.Once
	server *kubeserver.Server
	client *http.Client
	err    error
}

type cluster struct{}

func newCluster(t *testing.T) cluster {
	t.Helper()
	c := cluster{}
	shared.once.Do(func() {
		shared.server, shared.err = kubeserver.Start(context.Background(), os.Stderr)
		if shared.err != nil {
			return
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(shared.server.CA())
		shared.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
		shared.err = errors.Join(c.define(t), c.namespace())
	})
	require.NoError(t, shared.err)
	return c
}

// definitions of other people's kinds, as they publish them: in their modules,
// which the checksum database of Go knows.
var definitions = []struct{ module, sum, file, path string }{
	{
		"github.com/external-secrets/external-secrets@v1.3.2", "h1:u2J8RjlHIeF0oZCqtl92adI/uZWUwOesJIDkfql6LqQ=",
		"config/crds/bases/external-secrets.io_externalsecrets.yaml", "/apis/external-secrets.io/v1/externalsecrets",
	},
	{
		"github.com/external-secrets/external-secrets@v1.3.2", "h1:u2J8RjlHIeF0oZCqtl92adI/uZWUwOesJIDkfql6LqQ=",
		"config/crds/bases/external-secrets.io_secretstores.yaml", "/apis/external-secrets.io/v1/secretstores",
	},
	{
		"sigs.k8s.io/secrets-store-csi-driver@v1.4.8", "h1:YmL0lx9HMYqeZCnLyOZRMuGAZXmP/e42UGCCAnMKjgE=",
		"config/crd/bases/secrets-store.csi.x-k8s.io_secretproviderclasses.yaml", "/apis/secrets-store.csi.x-k8s.io/v1/secretproviderclasses",
	},
}

func (c cluster) define(t *testing.T) error {
	for _, d := range definitions {
		cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", d.module)
		cmd.Dir = t.TempDir() // outside of a module: it is no requirement of ours
		out, err := cmd.Output()
		var module struct{ Dir, Sum, Error string }
		if parsed := json.Unmarshal(out, &module); err != nil || parsed != nil || module.Sum != d.sum {
			return fmt.Errorf("%s: %w: %s, sum %s", d.module, errors.Join(err, parsed), module.Error, module.Sum)
		}
		text, err := os.ReadFile(filepath.Join(module.Dir, filepath.FromSlash(d.file)))
		if err != nil {
			return err
		}
		if _, err := c.call(http.MethodPost, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "application/yaml", text); err != nil {
			return err
		}
		if err := c.served(t.Context(), d.path); err != nil {
			return err
		}
	}
	return nil
}

func (c cluster) namespace() error {
	_, err := c.call(http.MethodPost, "/api/v1/namespaces", "application/yaml", []byte(`
apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels: {pod-security.kubernetes.io/enforce: restricted}
`))
	return err
}

// served waits until a definition is.
func (c cluster) served(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := c.call(http.MethodGet, path, "", nil)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s is not served: %w", path, err)
		}
	}
}

// An apiError is a refusal.
type apiError struct {
	code    int
	message string
}

func (e *apiError) Error() string { return fmt.Sprintf("%d: %s", e.code, e.message) }

// call sends one request and returns the answer.
func (c cluster) call(method, path, contentType string, body []byte) (map[string]any, error) {
	req, err := http.NewRequest(method, shared.server.Addr()+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+shared.server.Token())
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", contentType)
	res, err := shared.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	answer := map[string]any{}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, &apiError{res.StatusCode, string(text)}
	}
	if res.StatusCode >= http.StatusBadRequest {
		message, _ := answer["message"].(string)
		return nil, &apiError{res.StatusCode, message}
	}
	return answer, nil
}

// plural is where objects of a kind live.
var plural = map[string]string{
	"Secret": "secrets", "ServiceAccount": "serviceaccounts", "Deployment": "deployments",
	"ExternalSecret": "externalsecrets", "SecretStore": "secretstores", "SecretProviderClass": "secretproviderclasses",
}

// apply is kubectl apply --server-side --validate=strict.
func (c cluster) apply(d doc) (map[string]any, error) {
	group := "/apis/" + d.APIVersion
	if !strings.Contains(d.APIVersion, "/") {
		group = "/api/" + d.APIVersion
	}
	path := group + "/namespaces/" + d.Metadata.Namespace + "/" + plural[d.Kind] + "/" + d.Metadata.Name
	return c.call(http.MethodPatch, path+"?fieldManager=test&force=true&fieldValidation=Strict", "application/apply-patch+yaml", []byte(d.text))
}

// pod asks whether the pod of a Deployment would be let in.
func (c cluster) pod(template any) error {
	pod, ok := template.(map[string]any)
	if !ok {
		return fmt.Errorf("a template is not %T", template)
	}
	pod["apiVersion"], pod["kind"] = "v1", "Pod"
	pod["metadata"].(map[string]any)["generateName"] = "shop-"
	body, err := json.Marshal(pod)
	if err == nil {
		_, err = c.call(http.MethodPost, "/api/v1/namespaces/shop/pods?dryRun=All&fieldValidation=Strict", "application/json", body)
	}
	return err
}

// A real API server takes each manifest as it is, strictly, with the definitions of
// the operators, and lets its pods into a namespace that restricts them; nobody in
// them may read a Secret by themselves.
func TestManifestsApply(t *testing.T) {
	c := newCluster(t)
	for _, m := range manifests(t) {
		t.Run(m.name, func(t *testing.T) {
			for _, d := range m.docs {
				applied, err := c.apply(d)
				require.NoError(t, err, d.Kind)
				if d.Kind == "Deployment" {
					require.NoError(t, c.pod(applied["spec"].(map[string]any)["template"]))
				}
			}
			for _, verb := range []string{"get", "list", "watch"} {
				review, err := c.call(http.MethodPost, "/apis/authorization.k8s.io/v1/subjectaccessreviews", "application/json", []byte(`{
					"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
					"spec": {"user": "system:serviceaccount:shop:shop", "groups": ["system:serviceaccounts", "system:authenticated"],
						"resourceAttributes": {"namespace": "shop", "resource": "secrets", "verb": "`+verb+`"}}}`))
				require.NoError(t, err)
				require.Equal(t, false, review["status"].(map[string]any)["allowed"])
			}
		})
	}
}

// What is wrong with a manifest is found, so what TestManifestsApply lets pass is
// right.
func TestWrongManifestsAreRefused(t *testing.T) {
	c := newCluster(t)
	change := map[string][]struct{ from, to, says string }{
		"secret.yaml": {
			{"readinessProbe:", "readinesProbe:", "readinesProbe"},
			{"mountPath: /run/secrets/db,", "mountPath: /run/secrets/db, mountpath: x,", "mountpath"},
			{"name: db, mountPath", "name: dbs, mountPath", `"dbs"`},
			{"allowPrivilegeEscalation: false, ", "", "allowPrivilegeEscalation"},
			{"runAsNonRoot: true, ", "", "runAsNonRoot"},
			{"capabilities: {drop: [ALL]}", "capabilities: {}", "capabilities"},
		},
		"external-secrets.yaml": {
			{"refreshInterval: 1m", "refreshIntervall: 1m", "refreshIntervall"},
			{"refreshPolicy: Periodic", "refreshPolicy: Sometimes", "Sometimes"},
			{"deletionPolicy: Retain", "deletionPolicy: Keep", "Keep"},
			{"mountPath: kubernetes", "path: kubernetes", "path"},
		},
		"csi-vault.yaml": {
			{"roleName: shop", "roleName: 7", "roleName"},
			{"provider: vault", "povider: vault", "povider"},
		},
		"injector.yaml": {
			{"expirationSeconds: 3600", "expirationSeconds: 5", "expirationSeconds"},
		},
	}
	for _, m := range manifests(t) {
		for _, wrong := range change[m.name] {
			require.Contains(t, m.text, wrong.from)
			var err error
			for _, d := range m.docs {
				d.text = strings.Replace(d.text, wrong.from, wrong.to, 1)
				applied, refused := c.apply(d)
				if refused == nil && d.Kind == "Deployment" {
					refused = c.pod(applied["spec"].(map[string]any)["template"])
				}
				err = errors.Join(err, refused)
			}
			require.ErrorContains(t, err, wrong.says)
		}
	}
}

// An immutable Secret is refused any rotation, by whoever rotates.
func TestImmutableSecretsDoNotRotate(t *testing.T) {
	c := newCluster(t)
	_, err := c.call(http.MethodPost, "/api/v1/namespaces/shop/secrets", "application/json",
		[]byte(`{"metadata": {"name": "frozen"}, "immutable": true, "stringData": {"username": "app", "password": "one"}}`))
	require.NoError(t, err)
	_, err = c.throughSecret("frozen", map[string]string{"password": "two"})
	require.ErrorContains(t, err, "immutable")
}
