package kubernetes_test

import (
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreapply "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/internal/cut"
	"github.com/rekey-go/rekey/rotate/kubernetes"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/file"
)

func next(password string) source.Credential {
	return source.Credential{Username: "app2", Password: source.NewSecret(password)}
}

// rotated is a Secret that has been rotated once, to version "one".
func rotated(t *testing.T, b *bench, s rotate.Store) {
	t.Helper()
	st, err := s.Read(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Create(t.Context(), "one", next("second")))
	require.NoError(t, s.Promote(t.Context(), "one", st.Current.Token))
}

// mounted is what the kubelet would show of a Secret.
func mounted(t *testing.T, s *core.Secret) source.Credential {
	t.Helper()
	dir := t.TempDir()
	for key, value := range s.Data {
		require.NoError(t, os.WriteFile(filepath.Join(dir, key), value, 0o600))
	}
	c, err := file.Dir(dir, nil).Credential(t.Context())
	require.NoError(t, err)
	return c
}

// What applications read changes once in a rotation, and nothing but the login.
func TestApplicationsSeeOneChange(t *testing.T) {
	b := newBench(t)
	yes := true
	owner := b.create("owner", nil)
	b.remove("app")
	want := b.create("app", secret("app", canary), func(s *core.Secret) {
		s.Type = core.SecretTypeBasicAuth
		s.Labels, s.Annotations = map[string]string{"app": "shop"}, map[string]string{"owner": "payments"}
		s.Finalizers = []string{"example.com/kept"}
		s.OwnerReferences = []meta.OwnerReference{{APIVersion: "v1", Kind: "Secret", Name: owner.Name, UID: owner.UID, Controller: &yes}}
	})
	t.Cleanup(func() { b.patch("app", `{"metadata":{"finalizers":null}}`) })
	s, _ := b.store()
	st, err := s.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, want.ResourceVersion, st.Current.Token, "no rotation has been here")

	require.NoError(t, s.Create(t.Context(), "one", next("second")))
	require.Equal(t, want, b.get("app"), "a pending version is not seen, and what was tried is not done")

	require.NoError(t, s.Promote(t.Context(), "one", st.Current.Token))
	got := b.get("app")
	c := mounted(t, got)
	require.Equal(t, "app2", c.Username)
	require.Equal(t, "second", c.Password.Reveal())
	require.Equal(t, "one", c.Version, "pools tell by it that the one before has drained")
	require.NotContains(t, c.FieldNames(), "rekey_version")

	want.Data["username"], want.Data["password"], want.Data["rekey_version"] = []byte("app2"), []byte("second"), []byte("one")
	require.Equal(t, "rekey", got.ManagedFields[len(got.ManagedFields)-1].Manager)
	got.ManagedFields, got.ResourceVersion = want.ManagedFields, want.ResourceVersion
	require.Equal(t, want, got, "the rest is kept as it was")

	require.NoError(t, s.Discard(t.Context(), "one"))
	require.True(t, mounted(t, b.get("app")).Same(c))
}

// The Secret beside is told from others, and goes with the one it belongs to.
func TestEnvelopeIsCollected(t *testing.T) {
	b := newBench(t)
	s, _ := b.store()
	rotated(t, b, s)
	beside := b.get("app-rekey")
	require.Equal(t, "rekey", beside.Labels["app.kubernetes.io/managed-by"])
	require.Equal(t, "app", beside.Annotations["rekey-go.github.io/beside"])
	require.Len(t, beside.Data, 1)
	b.remove("app")
	require.Eventually(t, func() bool {
		_, err := b.admin.CoreV1().Secrets(b.namespace).Get(t.Context(), "app-rekey", meta.GetOptions{})
		return apierrors.IsNotFound(err)
	}, patience, 20*time.Millisecond)
	_, err := s.Read(t.Context())
	require.ErrorContains(t, err, "there is no such Secret")
}

// With the Secret beside made beforehand, the Role's second rule is not needed.
func TestEnvelopeMadeBeforehand(t *testing.T) {
	b := newBench(t)
	made := b.create("app-rekey", map[string][]byte{"note": []byte("kept")}, func(s *core.Secret) { s.Labels = map[string]string{"made": "beforehand"} })
	s := kubernetes.New(b.client(b.allow(documented(t)[0]), nil).CoreV1(), b.namespace, "app", nil)
	rotated(t, b, s)
	got := b.get("app-rekey")
	require.Equal(t, made.Labels, got.Labels)
	require.Empty(t, got.OwnerReferences)
	require.Equal(t, "kept", string(got.Data["note"]))
	st, err := s.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, canary, st.Previous.Credential.Password.Reveal())
}

// A label is no new version once a rotation has been here.
func TestMetadataIsNoVersion(t *testing.T) {
	b := newBench(t)
	s, _ := b.store()
	require.NoError(t, s.Create(t.Context(), "one", next("second")))
	st, err := s.Read(t.Context())
	require.NoError(t, err)
	b.patch("app", `{"metadata":{"labels":{"a":"b"}}}`)
	again, err := s.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, st.Current.Token, again.Current.Token)
	require.NoError(t, s.Promote(t.Context(), "one", st.Current.Token))
	require.Equal(t, "b", b.get("app").Labels["a"])
}

// Server-side apply of a manifest with the old password is told of the conflict.
func TestApplyConflicts(t *testing.T) {
	b := newBench(t)
	s, _ := b.store()
	rotated(t, b, s)
	_, err := b.admin.CoreV1().Secrets(b.namespace).Apply(t.Context(),
		coreapply.Secret("app", b.namespace).WithData(map[string][]byte{"password": []byte(canary)}), meta.ApplyOptions{FieldManager: "gitops"})
	require.True(t, apierrors.IsConflict(err), err)
	require.ErrorContains(t, err, `"rekey"`)
}

// A request that is answered too late has happened all the same.
func TestRepeatedRequest(t *testing.T) {
	b := newBench(t)
	s, wire := b.store()
	st, err := s.Read(t.Context())
	require.NoError(t, err)
	first := st.Current.Token
	for _, change := range []func() error{
		func() error { return s.Create(t.Context(), "one", next("second")) },
		func() error { return s.Promote(t.Context(), "one", first) },
		func() error { return s.Restore(t.Context(), first, "one") },
	} {
		hit := wire.Fail(t, 1, true)
		require.Error(t, change())
		require.True(t, hit())
		require.NoError(t, change())
	}
	st, err = s.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, first, st.Current.Token)
	require.Equal(t, "one", st.Previous.Token)
	require.Nil(t, st.Pending)
}

// requests notes what is asked for.
type requests struct {
	mu    sync.Mutex
	asked []string
}

// take returns what was asked for since, and forgets it.
func (r *requests) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.asked
	r.asked = nil
	return asked
}

func (r *requests) note(req *http.Request) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := req.Method + " " + filepath.Base(req.URL.Path)
	if req.URL.Query().Get("dryRun") != "" {
		text += " dry"
	}
	r.asked = append(r.asked, text)
	return false
}

// What the documentation says of the number of requests.
func TestRequests(t *testing.T) {
	b := newBench(t)
	r := &requests{}
	wire := &cut.Wire{Writes: r.note}
	s := kubernetes.New(b.client(b.allow(documented(t)...), wire).CoreV1(), b.namespace, "app", nil)
	wire.Fail(t, 1000, false) // so that it looks at each
	st, err := s.Read(t.Context())
	require.NoError(t, err)
	look := []string{"GET app-rekey", "GET app", "GET app-rekey"}
	require.Equal(t, look, r.take())
	require.NoError(t, s.Create(t.Context(), "one", next("second")))
	require.Equal(t, append(append([]string{"GET app", "PUT app dry"}, look...), "GET app-rekey", "GET app", "POST secrets"), r.take())
	require.NoError(t, s.Promote(t.Context(), "one", st.Current.Token))
	require.Equal(t, append(look, "GET app", "PUT app", "GET app-rekey", "PUT app-rekey"), r.take())
	require.NoError(t, s.Create(t.Context(), "two", next("third")))
	require.Equal(t, append(append([]string{"GET app", "PUT app dry"}, look...), "GET app-rekey", "PUT app-rekey"), r.take())
	require.NoError(t, s.Discard(t.Context(), "two"))
	require.Equal(t, append(look, "GET app-rekey", "PUT app-rekey"), r.take())
}
