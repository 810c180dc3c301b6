//go:build unix

package file_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/file"
	"github.com/rekey-go/rekey/rotate/rotatetest"
	"github.com/rekey-go/rekey/source"
	sourcefile "github.com/rekey-go/rekey/source/file"
)

func TestMain(m *testing.M) {
	if asChild() {
		return
	}
	goleak.VerifyTestMain(m)
}

const canary = "canary-9f2c71aa 'of the first' <&>"

func login(username, password string) map[string]any {
	return map[string]any{
		"username": username, "password": password, "host": "db.internal", "port": json.Number("5432"), "big": json.Number("12345678901234567890"), "tls": true,
	}
}

func text(t testing.TB, data map[string]any) []byte {
	t.Helper()
	text, err := json.Marshal(data)
	require.NoError(t, err)
	return text
}

// secret writes a file of a directory of its own.
func secret(t testing.TB) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "app.json")
	require.NoError(t, os.WriteFile(path, text(t, login("app", canary)), 0o600))
	return path
}

func contents(t testing.TB, path string) (data map[string]any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &data))
	return data
}

func next(password string) source.Credential {
	return source.Credential{Username: "app2", Password: source.NewSecret(password)}
}

func read(t testing.TB, s *file.Store) rotate.State {
	t.Helper()
	st, err := s.Read(t.Context())
	require.NoError(t, err)
	return st
}

// harness breaks the nth file off before or after it is renamed.
func harness(path string, overwrite func(t *testing.T, username, password string)) rotatetest.StoreHarness {
	s := file.New(path, nil)
	return rotatetest.StoreHarness{
		Store: s, Other: file.New(path, nil), Overwrite: overwrite,
		Fail: func(_ *testing.T, n int, lost bool) (hit func() bool) {
			at, left := file.Synced, n
			if lost {
				at = file.Renamed
			}
			s.Fault(func(point string) error {
				if point == at {
					if left--; left == 0 {
						return errors.New("broken off")
					}
				}
				return nil
			})
			return func() bool {
				s.Fault(func(string) error { return nil })
				return left <= 0
			}
		},
	}
}

func TestConformance(t *testing.T) {
	rotatetest.Store(t, func(t *testing.T) rotatetest.StoreHarness {
		path := secret(t)
		return harness(path, func(t *testing.T, username, password string) {
			require.NoError(t, os.WriteFile(path, text(t, login(username, password)), 0o600))
		})
	})
}

// An operator who edits what is there leaves the marker of the version before.
func TestConformanceEdited(t *testing.T) {
	rotatetest.Store(t, func(t *testing.T) rotatetest.StoreHarness {
		path := secret(t)
		return harness(path, func(t *testing.T, username, password string) {
			data := login(username, password)
			if marker, ok := contents(t, path)["rekey_version"]; ok {
				data["rekey_version"] = marker
			}
			require.NoError(t, os.WriteFile(path+".edited", text(t, data), 0o600))
			require.NoError(t, os.Rename(path+".edited", path))
		})
	})
}

// What applications read changes once in a rotation, and nothing but the login.
func TestApplicationsSeeOneChange(t *testing.T) {
	path := secret(t)
	s, src := file.New(path, nil), sourcefile.JSON(path, nil)
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	first := read(t, s).Current.Token
	require.NoError(t, s.Create(t.Context(), "one", next("<second> & \"more\"")))
	pending, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, pending, "a pending version is not seen")
	require.NoError(t, s.Promote(t.Context(), "one", first))
	c, err := src.Credential(t.Context())
	require.NoError(t, err)
	require.Equal(t, "app2", c.Username)
	require.Equal(t, "<second> & \"more\"", c.Password.Reveal())
	big, _ := c.Field("big")
	require.Equal(t, "12345678901234567890", big.Reveal())
	require.Equal(t, []string{"big", "host", "port", "tls"}, c.FieldNames())
	require.Equal(t, "one", c.Version, "pools tell by it that the one before has drained")
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, s.Discard(t.Context(), "one"))
	again, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, after, again)
}

// Readers see whole files and logins that belong together.
func TestReadersSeeWholeFiles(t *testing.T) {
	path := secret(t)
	s, src := file.New(path, nil), sourcefile.JSON(path, nil)
	var reads atomic.Int64
	over := make(chan struct{})
	failed := make(chan error, 1)
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			c, err := src.Credential(t.Context())
			if err == nil && c.Username != "app" && c.Password.Reveal() != "of "+c.Username {
				err = errors.New("user name and password of two versions")
			}
			if err != nil {
				failed <- err
				return
			}
			reads.Add(1)
			select {
			case <-over:
				return
			default:
			}
		}
	})
	current := read(t, s).Current.Token
	for n := range 100 {
		c := source.Credential{Username: fmt.Sprint("user", n), Password: source.NewSecret(fmt.Sprint("of user", n))}
		token := fmt.Sprint("token ", n)
		require.NoError(t, s.Create(t.Context(), token, c))
		require.NoError(t, s.Promote(t.Context(), token, current))
		current = token
	}
	close(over)
	reader.Wait()
	select {
	case err := <-failed:
		t.Fatal(err)
	default:
	}
	require.Greater(t, reads.Load(), int64(100))
}

func TestPermissions(t *testing.T) {
	for before, after := range map[fs.FileMode]fs.FileMode{0o600: 0o600, 0o400: 0o400, 0o640: 0o640, 0o644: 0o640, 0o666: 0o640, 0o660: 0o640} {
		t.Run(before.String(), func(t *testing.T) {
			path := secret(t)
			require.NoError(t, os.Chmod(path, before))
			s := file.New(path, nil)
			first := read(t, s).Current.Token
			require.NoError(t, s.Create(t.Context(), "one", next("second")))
			info, err := os.Stat(path)
			require.NoError(t, err)
			require.Equal(t, before, info.Mode(), "not before something is written there")
			require.NoError(t, s.Promote(t.Context(), "one", first))
			info, err = os.Stat(path)
			require.NoError(t, err)
			require.Equal(t, after, info.Mode())
			for _, name := range []string{".app.json.rekey", ".app.json.rekey.lock"} {
				info, err = os.Stat(filepath.Join(filepath.Dir(path), name))
				require.NoError(t, err)
				require.Equal(t, fs.FileMode(0o600), info.Mode())
			}
		})
	}
}

func TestLinksAreFollowed(t *testing.T) {
	path := secret(t)
	link := filepath.Join(t.TempDir(), "app.json")
	require.NoError(t, os.Symlink(path, link))
	beside := filepath.Join(t.TempDir(), "notes")
	s := file.New(link, &file.Options{Beside: beside})
	require.NoError(t, s.Create(t.Context(), "one", next("second")))
	require.NoError(t, s.Promote(t.Context(), "one", read(t, s).Current.Token))
	require.Equal(t, "second", contents(t, path)["password"])
	info, err := os.Lstat(link)
	require.NoError(t, err)
	require.Equal(t, fs.ModeSymlink, info.Mode().Type())
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, left, 1, "nothing is left beside the file")
	require.FileExists(t, beside)
}

// An operator's write in the very last moment is not lost.
func TestWrittenWhilePromoting(t *testing.T) {
	path := secret(t)
	s := file.New(path, nil)
	first := read(t, s).Current.Token
	require.NoError(t, s.Create(t.Context(), "one", next("second")))
	s.Fault(func(point string) error {
		if point == file.Synced {
			return os.WriteFile(path, text(t, login("app", "by hand")), 0o600)
		}
		return nil
	})
	require.ErrorIs(t, s.Promote(t.Context(), "one", first), rotate.ErrConflict)
	st := read(t, s)
	require.Equal(t, "by hand", st.Current.Credential.Password.Reveal())
	require.Equal(t, "one", st.Pending.Token)
}

// Writes that follow too closely for the clock of the file system are told apart.
func TestSameTime(t *testing.T) {
	path := secret(t)
	s := file.New(path, nil)
	info, err := os.Stat(path)
	require.NoError(t, err)
	first := read(t, s).Current.Token
	require.NoError(t, s.Create(t.Context(), "one", next("second")))
	require.NoError(t, os.WriteFile(path, text(t, login("app", "by hand")), 0o600))
	require.NoError(t, os.Chtimes(path, time.Time{}, info.ModTime()))
	require.ErrorIs(t, s.Promote(t.Context(), "one", first), rotate.ErrConflict)
	require.NotEqual(t, first, read(t, s).Current.Token)
}

// Who waits for the lock leaves with the context.
func TestLockIsWaitedFor(t *testing.T) {
	path := secret(t)
	holder, waiter := file.New(path, nil), file.New(path, nil)
	entered, leave := make(chan struct{}), make(chan struct{})
	var once sync.Once
	holder.Fault(func(string) error {
		once.Do(func() { close(entered); <-leave })
		return nil
	})
	held := make(chan error, 1)
	go func() { held <- holder.Create(t.Context(), "one", next("second")) }()
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	begun := time.Now()
	err := waiter.Create(ctx, "two", next("third"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(begun), 70*time.Millisecond)
	require.Nil(t, read(t, waiter).Pending, "reading does not wait")
	close(leave)
	require.NoError(t, <-held)
	require.ErrorIs(t, waiter.Create(t.Context(), "two", next("third")), rotate.ErrConflict)
}
