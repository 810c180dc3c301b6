package kubernetes_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	authentication "k8s.io/api/authentication/v1"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	client "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/rekey-go/rekey/internal/kubeserver"
	"github.com/rekey-go/rekey/rotate/internal/cut"
	"github.com/rekey-go/rekey/rotate/kubernetes"
	"github.com/rekey-go/rekey/rotate/rotatetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(suite{m}) }

// A suite closes the server that all tests and examples share.
type suite struct{ *testing.M }

var shared struct {
	once   sync.Once
	server *kubeserver.Server
	err    error
}

func (s suite) Run() int {
	code := s.M.Run()
	if shared.server != nil {
		if err := shared.server.Close(); err != nil {
			log.Println(err)
			return max(code, 1)
		}
	}
	return code
}

func server() (*kubeserver.Server, error) {
	shared.once.Do(func() { shared.server, shared.err = kubeserver.Start(context.Background(), os.Stderr) })
	return shared.server, shared.err
}

const (
	canary   = "canary-9f2c71aa 'of the first'"
	patience = 30 * time.Second
)

// A bench is a namespace of a real API server with the Secret "app", and an
// identity that may do what the documentation says.
type bench struct {
	t         testing.TB
	admin     *client.Clientset
	namespace string
}

func newBench(t testing.TB) *bench {
	t.Helper()
	s, err := server()
	require.NoError(t, err)
	b := &bench{t: t}
	b.admin = b.client(s.Token(), nil)
	ns, err := b.admin.CoreV1().Namespaces().Create(t.Context(), &core.Namespace{ObjectMeta: meta.ObjectMeta{GenerateName: "rekey-"}}, meta.CreateOptions{})
	require.NoError(t, err)
	b.namespace = ns.Name
	t.Cleanup(func() {
		require.NoError(t, b.admin.CoreV1().Namespaces().Delete(context.Background(), ns.Name, meta.DeleteOptions{}))
	})
	b.create("app", secret("app", canary))
	return b
}

func secret(username, password string) map[string][]byte {
	return map[string][]byte{
		"username": []byte(username), "password": []byte(password),
		"host": []byte("db.internal"), "port": []byte("5432"), "key.der": {0, 0xff, 0xfe, 1},
	}
}

// client is one of whoever has this token. wire is what its requests go over; nil:
// nothing but the network.
func (b *bench) client(token string, wire *cut.Wire) *client.Clientset {
	b.t.Helper()
	s, err := server()
	require.NoError(b.t, err)
	roots := x509.NewCertPool()
	require.True(b.t, roots.AppendCertsFromPEM(s.CA()))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	b.t.Cleanup(transport.CloseIdleConnections)
	config := &rest.Config{Host: s.Addr(), BearerToken: token, QPS: -1, Transport: transport}
	if wire != nil {
		wire.Next = transport
		config.Transport = wire
	}
	c, err := client.NewForConfig(config)
	require.NoError(b.t, err)
	return c
}

// newWire tells writes from reads and from those that are only tried.
func newWire() *cut.Wire {
	return &cut.Wire{Writes: func(r *http.Request) bool {
		return r.Method != http.MethodGet && r.URL.Query().Get("dryRun") == ""
	}}
}

// documented is the rules of the Role in the package's documentation.
func documented(t testing.TB) []rbac.PolicyRule {
	t.Helper()
	text, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	_, text2, ok := strings.Cut(string(text), "//\tapiVersion")
	require.True(t, ok)
	var role strings.Builder
	for _, line := range strings.Split("//\tapiVersion"+text2, "\n") {
		line, ok := strings.CutPrefix(line, "//\t")
		if !ok {
			break
		}
		role.WriteString(line + "\n")
	}
	var got rbac.Role
	require.NoError(t, yaml.UnmarshalStrict([]byte(role.String()), &got))
	require.Len(t, got.Rules, 2)
	return got.Rules
}

// allow returns the token of a new service account that these rules hold for.
func (b *bench) allow(rules ...rbac.PolicyRule) string {
	b.t.Helper()
	ctx := b.t.Context()
	account, err := b.admin.CoreV1().ServiceAccounts(b.namespace).Create(ctx, &core.ServiceAccount{ObjectMeta: meta.ObjectMeta{GenerateName: "rotator-"}}, meta.CreateOptions{})
	require.NoError(b.t, err)
	name := meta.ObjectMeta{Name: account.Name}
	_, err = b.admin.RbacV1().Roles(b.namespace).Create(ctx, &rbac.Role{ObjectMeta: name, Rules: rules}, meta.CreateOptions{})
	require.NoError(b.t, err)
	_, err = b.admin.RbacV1().RoleBindings(b.namespace).Create(ctx, &rbac.RoleBinding{
		ObjectMeta: name,
		RoleRef:    rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "Role", Name: name.Name},
		Subjects:   []rbac.Subject{{Kind: rbac.ServiceAccountKind, Namespace: b.namespace, Name: name.Name}},
	}, meta.CreateOptions{})
	require.NoError(b.t, err)
	request, err := b.admin.CoreV1().ServiceAccounts(b.namespace).CreateToken(ctx, name.Name, &authentication.TokenRequest{}, meta.CreateOptions{})
	require.NoError(b.t, err)
	token := request.Status.Token
	c := b.client(token, nil)
	require.Eventually(b.t, func() bool { // the server learns of it by a watch
		_, err := c.CoreV1().Secrets(b.namespace).Get(ctx, "app", meta.GetOptions{})
		return !apierrors.IsForbidden(err) && !apierrors.IsUnauthorized(err)
	}, patience, 5*time.Millisecond)
	return token
}

// store is one with the documented rights.
func (b *bench) store() (*kubernetes.Store, *cut.Wire) {
	b.t.Helper()
	wire := newWire()
	return kubernetes.New(b.client(b.allow(documented(b.t)...), wire).CoreV1(), b.namespace, "app", nil), wire
}

func (b *bench) create(name string, data map[string][]byte, change ...func(*core.Secret)) *core.Secret {
	b.t.Helper()
	s := &core.Secret{ObjectMeta: meta.ObjectMeta{Name: name}, Data: data}
	for _, c := range change {
		c(s)
	}
	s, err := b.admin.CoreV1().Secrets(b.namespace).Create(b.t.Context(), s, meta.CreateOptions{})
	require.NoError(b.t, err)
	return s
}

func (b *bench) get(name string) *core.Secret {
	b.t.Helper()
	s, err := b.admin.CoreV1().Secrets(b.namespace).Get(b.t.Context(), name, meta.GetOptions{})
	require.NoError(b.t, err)
	return s
}

// replace gives a Secret other data, as kubectl replace does.
func (b *bench) replace(name string, data map[string][]byte) {
	b.t.Helper()
	s := b.get(name)
	s.Data = data
	_, err := b.admin.CoreV1().Secrets(b.namespace).Update(b.t.Context(), s, meta.UpdateOptions{})
	require.NoError(b.t, err)
}

func (b *bench) patch(name, patch string) {
	b.t.Helper()
	_, err := b.admin.CoreV1().Secrets(b.namespace).Patch(context.WithoutCancel(b.t.Context()), name, types.MergePatchType, []byte(patch), meta.PatchOptions{})
	require.NoError(b.t, err)
}

func (b *bench) harness(overwrite func(t *testing.T, username, password string)) rotatetest.StoreHarness {
	b.t.Helper()
	store, wire := b.store()
	other, _ := b.store()
	return rotatetest.StoreHarness{Store: store, Other: other, Overwrite: overwrite, Fail: wire.Fail, Hang: wire.Hang}
}

func (b *bench) remove(name string) {
	b.t.Helper()
	require.NoError(b.t, b.admin.CoreV1().Secrets(b.namespace).Delete(b.t.Context(), name, meta.DeleteOptions{}))
}
