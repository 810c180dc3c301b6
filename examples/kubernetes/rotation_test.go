package main

import (
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
	for _, m := range manifests(t) {
		t.Run(m.name, func(t *testing.T) {
			srv := pooltest.Postgres(t)
			srv.Exec(t, orders.Schema)
			f, write := mounted(t, m)
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

// mounted gives the manifest's mount a place, and returns the flags that lead
// there and what writes a credential there.
func mounted(t *testing.T, m *manifest) (flags, func(username, password string) error) {
	t.Helper()
	f, at := m.flags(t), t.TempDir()
	if f.dir != "" {
		f.dir = at
	} else {
		f.json = filepath.Join(at, filepath.Base(f.json))
	}
	files := m.files(t)
	return f, func(username, password string) error {
		contents, err := contents(files, username, password)
		if err != nil {
			return err
		}
		if m.Template.Metadata.Annotations["vault.hashicorp.com/agent-inject"] != "true" {
			return mount.Volume{Dir: at}.Write(contents)
		}
		for name, content := range contents {
			err = errors.Join(err, mount.Render(filepath.Join(at, name), content))
		}
		if m.Template.Metadata.Annotations["vault.hashicorp.com/agent-inject-command-database.json"] != "" {
			err = errors.Join(err, syscall.Kill(os.Getpid(), syscall.SIGHUP))
		}
		return err
	}
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
