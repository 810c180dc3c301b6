package file_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/mount"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/file"
)

var errKilled = errors.New("killed")

// A writer that is killed before any of its steps leaves one whole generation,
// and the next writer goes on from there.
func TestKilledVolumeWriter(t *testing.T) {
	steps := map[mount.Step]bool{}
	for n := 0; ; n++ {
		v := mount.Volume{Dir: t.TempDir()}
		src := file.Dir(v.Dir, nil)
		old := login("user-1", "password of user-1")
		old["gone"] = "in the next generation"
		require.NoError(t, v.Write(old))
		read(t, src)

		at, killed := 0, mount.Step("")
		v.Before = func(step mount.Step) error {
			if at++; at > n {
				killed = step
				return errKilled
			}
			return nil
		}
		next := login("user-2", "password of user-2")
		next["made"] = "in this generation"
		err := v.Write(next)
		if killed == "" {
			require.NoError(t, err)
			require.Equal(t, "user-2", read(t, src).Username)
			break
		}
		require.ErrorIs(t, err, errKilled)
		steps[killed] = true
		c := read(t, src)
		assert.Equal(t, "password of "+c.Username, c.Password.Reveal(), killed)
		_, gone := c.Field("gone")
		_, made := c.Field("made")
		swapped := killed == mount.LinkFile || killed == mount.UnlinkFile || killed == mount.RemoveDirectory
		assert.Equal(t, swapped, c.Username == "user-2", killed)
		assert.Equal(t, []bool{!swapped, swapped}, []bool{gone, made}, killed)

		v.Before = nil
		next["username"], next["password"] = "user-3", "password of user-3"
		err = v.Write(next)
		if killed == mount.Swap { // which no writer gets over: see Options.MaxAge
			require.ErrorIs(t, err, os.ErrExist)
			assert.Equal(t, "user-1", read(t, src).Username)
			continue
		}
		require.NoError(t, err, killed)
		assert.Equal(t, "password of user-3", read(t, src).Password.Reveal(), killed)
	}
	assert.Len(t, steps, 7)
}

// Before the first write and where ..data is missing for a moment there is
// nothing to read, which is an error that the next read may not have.
func TestVolumeWithoutData(t *testing.T) {
	v := volume{dir: t.TempDir()}
	src := file.Dir(v.dir, nil)
	_, err := src.Credential(t.Context())
	require.ErrorIs(t, err, file.ErrEmpty)
	o := observe(t, src)
	require.NoError(t, v.swap(login("app", "one")))
	o.await(t, src, "one")

	link, aside := filepath.Join(v.dir, "..data"), filepath.Join(v.dir, "..aside")
	for range 20 {
		require.NoError(t, os.Rename(link, aside))
		o.awaitError(t, src)
		_, err := src.Credential(t.Context())
		require.ErrorIs(t, err, file.ErrEmpty)
		require.False(t, source.IsPermanent(err))
		require.NoError(t, os.Rename(aside, link))
		o.await(t, src, "one")
	}
}

// A subPath is a mount of the file itself, which lives on when its directory is
// replaced: nothing changes any more, which only the age tells.
func TestF33_SubPathIsNeverUpdated(t *testing.T) {
	v := volume{dir: t.TempDir()}
	require.NoError(t, v.swap(map[string]string{"db.json": jsonOf("app", "0")}))
	path := filepath.Join(t.TempDir(), "db.json")
	require.NoError(t, os.Link(filepath.Join(v.dir, "..data", "db.json"), path)) // the same file, as a bind mount shows it
	mounted, subPath := file.JSON(filepath.Join(v.dir, "db.json"), nil), file.JSON(path, &file.Options{MaxAge: time.Nanosecond, Logger: quiet()})
	o, silent := observe(t, mounted), observe(t, subPath)
	for n := 1; n <= 3; n++ {
		require.NoError(t, v.swap(map[string]string{"db.json": jsonOf("app", fmt.Sprint(n))}))
		o.await(t, mounted, fmt.Sprint(n))
	}
	assert.Equal(t, "0", read(t, subPath).Password.Reveal())
	assert.Zero(t, silent.count())
	assert.Contains(t, subPath.Warning(), "subPath")
}

// Who reads one file after the other, through the links, gets a user with the
// password of another: what TestF34_GenerationsNeverMix would miss if it happened
// to us.
func TestNaiveReaderMixesGenerations(t *testing.T) {
	v := volume{dir: t.TempDir()}
	put := func(n int) error { return v.swap(login(fmt.Sprint("user-", n), fmt.Sprint("password of user-", n))) }
	require.NoError(t, put(0))
	done := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(done)
	wg.Go(func() {
		for n := 1; ; n++ {
			select {
			case <-done:
				return
			default:
				assert.NoError(t, put(n))
			}
		}
	})
	require.Eventually(t, func() bool {
		for range 100 {
			username, err := os.ReadFile(filepath.Join(v.dir, "username"))
			if err != nil {
				continue
			}
			password, err := os.ReadFile(filepath.Join(v.dir, "password"))
			if err == nil && string(password) != "password of "+string(username) {
				return true
			}
		}
		return false
	}, time.Minute, time.Millisecond)
}

// Where there are no file system events, and the poll is long off, the signal has
// a refresher read the file at once.
func TestSIGHUPWhereNothingElseTells(t *testing.T) {
	file.FailWatcher(t, syscall.EMFILE)
	path := filepath.Join(t.TempDir(), "db")
	require.NoError(t, mount.Render(path, jsonOf("app", "0")))
	src := file.JSON(path, &file.Options{Poll: -1, OnSIGHUP: true, Logger: quiet()})
	r, err := refresh.New(t.Context(), src, &refresh.Options{Poll: -1, Logger: quiet()})
	require.NoError(t, err)
	defer r.Close()
	changed := make(chan refresh.Snapshot, 1)
	defer r.OnChange(func(s refresh.Snapshot) { changed <- s })()
	self, err := os.FindProcess(os.Getpid())
	require.NoError(t, err)

	var longest time.Duration
	for n := 1; n <= 20; n++ {
		password := fmt.Sprint(n)
		require.NoError(t, mount.Render(path, jsonOf("app", password)))
		require.Equal(t, fmt.Sprint(n-1), r.Current().Password.Reveal(), "nothing has told yet")
		began := time.Now()
		require.NoError(t, self.Signal(syscall.SIGHUP))
		select {
		case s := <-changed:
			require.Equal(t, password, s.Password.Reveal())
		case <-time.After(10 * time.Second):
			t.Fatal("the signal was not followed")
		}
		longest = max(longest, time.Since(began))
	}
	t.Logf("20 signals, each followed within %v", longest)
}
