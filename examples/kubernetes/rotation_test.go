package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/examples/orders"
	"github.com/rekey-go/rekey/examples/orders/orderstest"
	"github.com/rekey-go/rekey/internal/mount"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/pooltest"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

// Each manifest's mount, in the hands of who writes it, under a service that the
// manifest's own arguments have started: on a real PostgreSQL 16 clients never stop
// while the credential is rotated twenty times, and no call fails.
func TestRotationsThroughEachMount(t *testing.T) {
	kubelet, err := mount.StartKubelet(t.Context(), os.Stderr)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, kubelet.Close()) })
	for _, m := range manifests(t) {
		t.Run(m.name, func(t *testing.T) {
			srv := pooltest.Postgres(t)
			srv.Exec(t, orders.Schema)
			f, write := mounted(t, m, kubelet)
			follow := &stopwatch{written: map[string]time.Time{}}
			put := func() {
				c, err := srv.Store().Credential(t.Context())
				if err == nil {
					follow.write(c, write)
				}
				if err := errors.Join(err, follow.err); err != nil {
					t.Error(err)
				}
			}
			put()
			t.Cleanup(srv.Store().Watch(put))

			db, err := pool.Open(t.Context(), srv.DSN()+"&pool_max_conns=8", f.source(), &pool.Options{Logger: slog.New(slog.DiscardHandler)})
			require.NoError(t, err)
			t.Cleanup(db.Close)
			t.Cleanup(db.Refresher().OnChange(follow.adopted))
			probed(t, m, db)
			orderstest.Storm(t, srv, orders.NewPostgres(db), db)
			probed(t, m, db)

			slices.Sort(follow.took)
			require.Len(t, follow.took, 20)
			t.Logf("from the write to a login with it: p50 %v, longest %v", follow.took[10], follow.took[19])
		})
	}
}

// A mount that comes late, after a password was changed in place: what is open
// serves on, new logins fail once a few were rejected, and go on with the file.
func TestLateMountOfOneUser(t *testing.T) {
	srv := pooltest.Postgres(t)
	m := manifests(t)[5]
	require.Equal(t, "secret.yaml", m.name)
	v := mount.Volume{Dir: t.TempDir()}
	write := func() {
		c, err := srv.Store().Credential(t.Context())
		require.NoError(t, err)
		files, err := contents(m.files(t), c.Username, c.Password.Reveal())
		require.NoError(t, err)
		require.NoError(t, v.Write(files))
	}
	write()
	f := m.flags(t)
	f.dir = v.Dir
	db, err := pool.Open(t.Context(), srv.DSN(), f.source(), &pool.Options{
		Logger: slog.New(slog.DiscardHandler), Refresh: &refresh.Options{LoginBudget: 2},
	})
	require.NoError(t, err)
	defer db.Close()
	open, err := db.Acquire(t.Context())
	require.NoError(t, err)
	defer open.Release()

	publish := srv.ChangePassword(t)
	db.Reset()
	require.ErrorContains(t, db.Ping(t.Context()), "rejected by the database 2 times")
	require.NoError(t, open.Ping(t.Context()))
	publish()
	require.ErrorContains(t, db.Ping(t.Context()), "rejected by the database 2 times", "the store is not the file")
	write()
	require.Eventually(t, func() bool { return db.Ping(t.Context()) == nil }, 10*time.Second, 10*time.Millisecond)
}

// mounted gives the manifest's mount a place, and returns the flags that lead
// there and what writes a credential there: the kubelet's own code, for Secrets from
// what the API server answers, and what Vault Agent does, with its command.
func mounted(t *testing.T, m *manifest, kubelet *mount.Kubelet) (flags, func(username, password string) error) {
	t.Helper()
	f, at := m.flags(t), t.TempDir()
	if f.dir != "" {
		f.dir = at
	} else {
		f.json = filepath.Join(at, filepath.Base(f.json))
	}
	c, files, annotations := newCluster(t), m.files(t), m.Template.Metadata.Annotations
	return f, func(username, password string) error {
		contents, err := contents(files, username, password)
		switch {
		case err != nil:
			return err
		case m.secret() != "":
			if contents, err = c.throughSecret(m.secret(), contents); err != nil {
				return err
			}
			return kubelet.Write(at, contents)
		case annotations["vault.hashicorp.com/agent-inject"] == "":
			return kubelet.Write(at, contents)
		}
		for name, content := range contents {
			err = errors.Join(err, mount.Render(filepath.Join(at, name), content))
		}
		if annotations["vault.hashicorp.com/agent-inject-command-database.json"] != "" {
			err = errors.Join(err, syscall.Kill(os.Getpid(), syscall.SIGHUP))
		}
		return err
	}
}

// secret is the name of the Secret that the pod mounts, if it does.
func (m *manifest) secret() string {
	for _, v := range m.Template.Spec.Volumes {
		if v.Secret.Name != "" {
			return v.Secret.Name
		}
	}
	return ""
}

// throughSecret stores the files in a Secret and returns what the server has.
func (c cluster) throughSecret(name string, files map[string]string) (map[string]string, error) {
	path := "/api/v1/namespaces/shop/secrets/" + name
	body, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": name}, "stringData": files})
	if err != nil {
		return nil, err
	}
	if _, err := c.call(http.MethodPatch, path+"?fieldManager=store&fieldValidation=Strict", "application/apply-patch+yaml", body); err != nil {
		return nil, err
	}
	secret, err := c.call(http.MethodGet, path, "", nil)
	if err != nil {
		return nil, err
	}
	stored := map[string]string{}
	for key, value := range secret["data"].(map[string]any) {
		text, err := base64.StdEncoding.DecodeString(value.(string))
		if err != nil {
			return nil, err
		}
		stored[key] = string(text)
	}
	return stored, nil
}

// contents are those of files for a credential; see manifest.files.
func contents(files map[string]string, username, password string) (map[string]string, error) {
	values := map[string]string{"username": username, "password": password}
	all, err := json.Marshal(values)
	contents := map[string]string{}
	for name, key := range files {
		contents[name] = string(all)
		if key != "" {
			contents[name] = values[key]
		}
	}
	return contents, err
}

// probed asks what the kubelet asks.
func probed(t *testing.T, m *manifest, db *pool.ManagedPool) {
	t.Helper()
	server := httptest.NewServer(handler(db))
	defer server.Close()
	c := m.Template.Spec.Containers[0]
	for _, p := range []probe{c.Startup, c.Readiness, c.Liveness} {
		require.Equal(t, "http", p.Get.Port)
		res, err := server.Client().Get(server.URL + p.Get.Path)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusOK, res.StatusCode, p.Get.Path)
	}
}

// A stopwatch runs from a write to the adoption of what was written, before which
// the pool has logged in with it.
type stopwatch struct {
	mu      sync.Mutex
	written map[string]time.Time // by the password
	took    []time.Duration
	err     error
}

func (s *stopwatch) write(c source.Credential, write func(username, password string) error) {
	s.mu.Lock() // so that nobody adopts before it is noted when that was
	defer s.mu.Unlock()
	s.err = errors.Join(s.err, write(c.Username, c.Password.Reveal()))
	s.written[c.Password.Reveal()] = time.Now()
}

func (s *stopwatch) adopted(snap refresh.Snapshot) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took = append(s.took, now.Sub(s.written[snap.Password.Reveal()]))
}
