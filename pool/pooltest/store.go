package pooltest

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/sourcetest"
)

// A Store is a store of one credential in memory: a [source.Watcher] that
// numbers its versions. A store of more caprices, with leases, is
// [sourcetest.Script]. Its methods are safe for concurrent use.
type Store struct {
	script *sourcetest.Script

	mu      sync.Mutex
	current source.Credential
	n       int
	err     error
}

// NewStore returns a store that holds a first credential.
func NewStore(username, password string) *Store {
	s := &Store{script: sourcetest.NewScript()}
	s.Put(username, password)
	return s
}

// Put makes the store hold a new version, v1 being the first, and tells
// everyone who watches. While [Store.Fail] is in force nobody learns of it.
func (s *Store) Put(username, password string) {
	s.mu.Lock()
	s.n++
	s.current = source.Credential{Username: username, Password: source.NewSecret(password), Version: "v" + strconv.Itoa(s.n)}
	s.publish()
	s.mu.Unlock()
	s.script.Changed()
}

// Fail takes the store away: every fetch fails with err, until Fail(nil) brings
// it back with what was last put into it.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	s.err = err
	s.publish()
	s.mu.Unlock()
	if err == nil {
		s.script.Changed()
	}
}

// publish has the script answer what the store holds. s.mu is held.
func (s *Store) publish() {
	if s.err == nil {
		s.script.Set(s.current)
		return
	}
	s.script.Fail(s.err)
}

// Credential returns what the store holds, as any source does.
func (s *Store) Credential(ctx context.Context) (source.Credential, error) {
	return s.script.Credential(ctx)
}

// Watch has changed called after each [Store.Put], before it returns.
func (s *Store) Watch(changed func()) (stop func()) { return s.script.Watch(changed) }

// holds returns what was last put into the store, whether it answers or not.
func (s *Store) holds() source.Credential {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// File keeps a file that follows the store, {"username": …, "password": …},
// replaced in one step, and returns its path. It is for services that are
// given a path. It goes when the test ends.
func (s *Store) File(t testing.TB) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "credential.json")
	var mu sync.Mutex // writers take turns
	write := func() {
		mu.Lock()
		defer mu.Unlock()
		c, err := s.Credential(context.Background())
		if err != nil {
			return // the store is away: the file stays as it is
		}
		text, err := json.Marshal(map[string]string{"username": c.Username, "password": c.Password.Reveal()})
		if err == nil {
			err = os.WriteFile(path+".new", text, 0o600)
		}
		if err == nil {
			err = os.Rename(path+".new", path)
		}
		if err != nil {
			t.Errorf("pooltest: the store's file: %v", err)
		}
	}
	t.Cleanup(s.Watch(write))
	write()
	return path
}
