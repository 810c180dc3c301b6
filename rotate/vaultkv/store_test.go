package vaultkv_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/internal/cut"
	"github.com/rekey-go/rekey/rotate/rotatetest"
	"github.com/rekey-go/rekey/rotate/vaultkv"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/vault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(vaulttest.Suite{Runner: suite{m}}) }

// A suite closes the server of the example.
type suite struct{ *testing.M }

func (s suite) Run() int { return max(s.M.Run(), closeExampleServer()) }

const canary = "canary-9f2c71aa 'of the first'"

// A bench is a mount with the secret "app" on a real Vault.
type bench struct {
	t     testing.TB
	mount string
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{t, vaulttest.KV(t, vaulttest.Server(t), 2)}
	b.write("app", map[string]any{"data": secret("app", canary)})
	return b
}

func secret(username, password string) map[string]any {
	return map[string]any{
		"username": username, "password": password,
		"host": "db.internal", "port": json.Number("5432"), "big": json.Number("1234567890123456"), "tls": map[string]any{"ca": "<pem>"}, "none": nil,
	}
}

// write writes as root.
func (b *bench) write(path string, body map[string]any) {
	b.t.Helper()
	vaulttest.Do(b.t, vaulttest.Server(b.t), "PUT", b.mount+"/data/"+path, body)
}

// policy is what the documentation says.
func (b *bench) policy() string {
	return vaulttest.Rule(b.mount+"/data/app", "read", "update") +
		vaulttest.Rule(b.mount+"/data/app-rekey", "create", "read", "update")
}

// client returns a client with a token that may do what rules say.
func (b *bench) client(rules string) (*api.Client, *cut.Wire) {
	b.t.Helper()
	transport := &http.Transport{}
	b.t.Cleanup(transport.CloseIdleConnections)
	wire := &cut.Wire{Next: transport, Writes: func(r *http.Request) bool { return r.Method != http.MethodGet }}
	config := api.DefaultConfig()
	require.NoError(b.t, config.Error)
	config.Address, config.MaxRetries, config.HttpClient.Transport = vaulttest.Server(b.t).Addr(), 0, wire
	client, err := api.NewClient(config)
	require.NoError(b.t, err)
	client.SetToken(vaulttest.NewToken(b.t, vaulttest.Server(b.t), vaulttest.Token{Policy: rules, NoDefault: true}))
	return client, wire
}

func (b *bench) store() *vaultkv.Store {
	client, _ := b.client(b.policy())
	return vaultkv.New(client, b.mount, "app", nil)
}

func (b *bench) raw() map[string]any {
	b.t.Helper()
	client, _ := b.client(vaulttest.Rule(b.mount+"/data/app", "read"))
	got, err := client.Logical().ReadWithContext(context.WithoutCancel(b.t.Context()), b.mount+"/data/app")
	require.NoError(b.t, err)
	data, ok := got.Data["data"].(map[string]any)
	require.True(b.t, ok)
	return data
}

func (b *bench) harness(overwrite func(t *testing.T, username, password string)) rotatetest.StoreHarness {
	client, wire := b.client(b.policy())
	return rotatetest.StoreHarness{
		Store: vaultkv.New(client, b.mount, "app", nil), Other: b.store(),
		Overwrite: overwrite, Fail: wire.Fail, Hang: wire.Hang,
	}
}

func TestConformance(t *testing.T) {
	rotatetest.Store(t, func(t *testing.T) rotatetest.StoreHarness {
		b := newBench(t)
		return b.harness(func(_ *testing.T, username, password string) {
			b.write("app", map[string]any{"data": secret(username, password)})
		})
	})
}

// An operator who edits what is there leaves the marker of the version before.
func TestConformanceEdited(t *testing.T) {
	rotatetest.Store(t, func(t *testing.T) rotatetest.StoreHarness {
		b := newBench(t)
		return b.harness(func(_ *testing.T, username, password string) {
			data := b.raw()
			data["username"], data["password"] = username, password
			b.write("app", map[string]any{"data": data})
		})
	})
}

func next(password string) source.Credential {
	return source.Credential{Username: "app2", Password: source.NewSecret(password)}
}

// What applications read changes once in a rotation, and nothing but the login.
func TestApplicationsSeeOneChange(t *testing.T) {
	b := newBench(t)
	s := b.store()
	reader, _ := b.client(vaulttest.Rule(b.mount+"/data/app", "read"))
	src := vault.KV(reader, b.mount, "app", nil)
	before, err := src.Credential(t.Context())
	require.NoError(t, err)
	want := b.raw()
	require.Equal(t, json.Number("5432"), want["port"])
	st, err := s.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, before.Version, st.Current.Token, "no rotation has been here: the engine's number")

	require.NoError(t, s.Create(t.Context(), "one", next("second")))
	pending, err := src.Credential(t.Context())
	require.NoError(t, err)
	require.True(t, pending.Same(before), "a pending version is not seen")

	require.NoError(t, s.Promote(t.Context(), "one", st.Current.Token))
	after, err := src.Credential(t.Context())
	require.NoError(t, err)
	require.Equal(t, "app2", after.Username)
	require.Equal(t, "second", after.Password.Reveal())
	require.Equal(t, "one", after.Version, "pools tell by it that the one before has drained")
	require.NotContains(t, after.FieldNames(), "rekey_version")
	want["username"], want["password"], want["rekey_version"] = "app2", "second", "one"
	require.Equal(t, want, b.raw(), "the rest is kept as it was")

	require.NoError(t, s.Discard(t.Context(), "one"))
	again, err := src.Credential(t.Context())
	require.NoError(t, err)
	require.True(t, again.Same(after))

	// What applications may read holds nothing of the pending version.
	_, err = vault.KV(reader, b.mount, "app-rekey", nil).Credential(t.Context())
	require.ErrorContains(t, err, "permission denied")
}

// A client that repeats requests finds its own write.
func TestRepeatedRequest(t *testing.T) {
	b := newBench(t)
	client, wire := b.client(b.policy())
	client.SetMaxRetries(2)
	client.SetMinRetryWait(1)
	client.SetMaxRetryWait(1)
	s := vaultkv.New(client, b.mount, "app", nil)
	for _, change := range []func() error{
		func() error { return s.Create(t.Context(), "one", next("second")) },
		func() error { return s.Promote(t.Context(), "one", "1") },
		func() error { return s.Restore(t.Context(), "1", "one") },
	} {
		hit := wire.Fail(t, 1, true)
		require.NoError(t, change())
		require.True(t, hit())
	}
	st, err := s.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, "1", st.Current.Token)
	require.Equal(t, "one", st.Previous.Token)
	require.Nil(t, st.Pending)
}

func TestMistakes(t *testing.T) {
	b := newBench(t)
	root, _ := b.client(vaulttest.Rule(b.mount+"/*", "create", "read", "update", "delete"))
	readOnly, _ := b.client(vaulttest.Rule(b.mount+"/data/*", "read"))
	b.write("broken", map[string]any{"data": map[string]any{"username": "app", "password": []string{canary}}})
	b.write("odd", map[string]any{"data": secret("app", canary)})
	b.write("odd-rekey", map[string]any{"data": map[string]any{"pending": canary}})
	b.write("gone", map[string]any{"data": secret("app", canary)})
	vaulttest.Do(t, vaulttest.Server(t), "DELETE", b.mount+"/data/gone", nil)
	one := vaulttest.KV(t, vaulttest.Server(t), 1)
	vaulttest.Do(t, vaulttest.Server(t), "PUT", one+"/app", secret("app", canary))
	version1, _ := b.client(vaulttest.Rule(one+"/*", "read"))

	for _, c := range []struct {
		name      string
		store     rotate.Store
		says      string
		permanent bool
	}{
		{"no client", vaultkv.New(nil, b.mount, "app", nil), "client is nil", true},
		{"no path", vaultkv.New(root, b.mount, "/", nil), "cannot be one of Vault's", true},
		{"a path upwards", vaultkv.New(root, b.mount, "a/../b", nil), "cannot be one of Vault's", true},
		{"both at one path", vaultkv.New(root, b.mount, "app", &vaultkv.Options{Beside: "/app/"}), "another path", true},
		{"no secret", vaultkv.New(root, b.mount, "nothing", nil), "no such secret", true},
		{"deleted", vaultkv.New(root, b.mount, "gone", nil), "deleted", true},
		{"no policy", vaultkv.New(readOnly, b.mount, "app", nil), `capability "update" on "` + b.mount + `/data/app-rekey"`, true},
		{"version 1", vaultkv.New(version1, one, "app", nil), "version 2", true},
		{"no text", vaultkv.New(root, b.mount, "broken", nil), `field "password"`, true},
		{"another field", vaultkv.New(root, b.mount, "app", &vaultkv.Options{PasswordField: "pw"}), `field "pw"`, true},
		{"something else beside", vaultkv.New(root, b.mount, "odd", nil), "did something else write here", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.store.Create(t.Context(), "one", next("canary-second"))
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, err.Error(), "canary")
			require.Equal(t, c.permanent, source.IsPermanent(err))
		})
	}
	for _, call := range []func(s rotate.Store) error{
		func(s rotate.Store) error { _, err := s.Read(t.Context()); return err },
		func(s rotate.Store) error { return s.Promote(t.Context(), "a", "b") },
		func(s rotate.Store) error { return s.Discard(t.Context(), "a") },
		func(s rotate.Store) error { return s.Restore(t.Context(), "a", "b") },
	} {
		require.ErrorContains(t, call(vaultkv.New(nil, b.mount, "app", nil)), "client is nil")
	}
}

// An answer of something that is not Vault may hold anything.
func TestForeignAnswers(t *testing.T) {
	b := newBench(t)
	proxy := vaulttest.NewProxy(t, vaulttest.Server(t))
	client, _ := b.client(b.policy())
	require.NoError(t, client.SetAddress(proxy.Addr()))
	s := vaultkv.New(client, b.mount, "app", nil)
	for name, c := range map[string]struct {
		fault vaulttest.Fault
		kind  vault.Kind
	}{
		"a page":      {vaulttest.Fault{Body: "<html>" + canary}, vault.Malformed},
		"refused":     {vaulttest.Fault{Status: 418, Body: "you sent " + canary}, vault.Malformed},
		"a gateway":   {vaulttest.Fault{Status: 502, Body: "you sent " + canary}, vault.Unavailable},
		"no data":     {vaulttest.Fault{Body: `{"data":{"data":"` + canary + `","metadata":{"version":3}}}`}, vault.Malformed},
		"no version":  {vaulttest.Fault{Body: `{"data":{"data":{"password":"` + canary + `"}}}`}, vault.Malformed},
		"sealed":      {vaulttest.Fault{Status: 503, Body: `{"errors":["Vault is sealed"]}`}, vault.Sealed},
		"a limit":     {vaulttest.Fault{Status: 429, Body: `{"errors":["rate limit exceeded"]}`}, vault.Throttled},
		"cut":         {vaulttest.Fault{Cut: true}, vault.Unavailable},
		"nothing":     {vaulttest.Fault{Status: 204}, vault.NotFound},
		"a wrong one": {vaulttest.Fault{Status: 403, Body: `{"errors":["permission denied"]}`}, vault.Permission},
	} {
		t.Run(name, func(t *testing.T) {
			proxy.Break(c.fault)
			defer proxy.Clear()
			_, err := s.Read(t.Context())
			var e *vault.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.kind, e.Kind)
			require.NotContains(t, strings.Join([]string{err.Error(), e.Detail}, " "), "canary")
		})
	}
}
