package mount_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/mount"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func kubelet(t *testing.T) *mount.Kubelet {
	t.Helper()
	k, err := mount.StartKubelet(t.Context(), os.Stderr)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, k.Close()) })
	return k
}

// A Volume does what the kubelet does: what is there after each write is the same,
// and so is what somebody sees who watches.
func TestVolumeIsTheKubelets(t *testing.T) {
	k := kubelet(t)
	theirs, ours := t.TempDir(), t.TempDir()
	for n, files := range []map[string]string{
		{"username": "app", "password": "one"},
		{"username": "app", "password": "two"},
		{"username": "app", "password": "two"},                 // as it was
		{"username": "app", "password": "", "ca.crt": "…"},     // an empty one, and one more
		{"username": "next", "password": "three\n", "..x": ""}, // a name that nobody may have
		{"password": "three\n"},                                // one is gone
		{},
		{"username": "last", "password": "four"},
	} {
		if n == 4 {
			require.Error(t, k.Write(theirs, files))
			continue
		}
		wantEvents := watch(t, theirs, func() { require.NoError(t, k.Write(theirs, files)) })
		events := watch(t, ours, func() { require.NoError(t, mount.Volume{Dir: ours}.Write(files)) })
		require.Equal(t, tree(t, theirs), tree(t, ours), "write %d", n)
		require.Equal(t, wantEvents, events, "write %d", n)
	}
}

// What a killed writer leaves behind stops both for ever, with the old files in
// place.
func TestLeftoverStopsTheKubelet(t *testing.T) {
	k := kubelet(t)
	theirs, ours := t.TempDir(), t.TempDir()
	for dir, write := range map[string]func(map[string]string) error{
		theirs: func(files map[string]string) error { return k.Write(theirs, files) },
		ours:   mount.Volume{Dir: ours}.Write,
	} {
		require.NoError(t, write(map[string]string{"password": "one"}))
		require.NoError(t, os.Symlink("..gone", filepath.Join(dir, "..data_tmp")))
		for range 2 {
			require.ErrorContains(t, write(map[string]string{"password": "two"}), "..data_tmp: file exists")
		}
		content, err := os.ReadFile(filepath.Join(dir, "password"))
		require.NoError(t, err)
		require.Equal(t, "one", string(content))
	}
	require.Equal(t, tree(t, theirs), tree(t, ours))
}

func TestRender(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.json")
	for _, content := range []string{"one", "two"} {
		require.NoError(t, mount.Render(path, content))
		read, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, content, string(read))
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.ErrorIs(t, mount.Render(filepath.Join(filepath.Dir(path), "nowhere", "db.json"), ""), fs.ErrNotExist)
}

// stamp is the part of a directory's name that differs.
var stamp = regexp.MustCompile(`\.\.\d{4}(_\d\d){5}\.\d+`)

// tree describes all that is in a directory.
func tree(t *testing.T, dir string) (all []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		line := info.Mode().String() + strings.TrimPrefix(path, dir)
		switch {
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " -> " + target
		case d.Type().IsRegular():
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += ": " + string(content)
		}
		all = append(all, stamp.ReplaceAllString(line, "..stamp"))
		return nil
	}))
	slices.Sort(all)
	return all
}

// watch returns what is seen of act in a directory, in its order but for the links
// of files, which have none.
func watch(t *testing.T, dir string, act func()) (events []string) {
	t.Helper()
	w, err := fsnotify.NewWatcher()
	require.NoError(t, err)
	require.NoError(t, w.Add(dir))
	act()
	end := filepath.Join(dir, "end")
	require.NoError(t, os.WriteFile(end, nil, 0o600))
	require.NoError(t, os.Remove(end))
	var links []string
	for {
		select {
		case event := <-w.Events:
			if event.Name == end {
				if !event.Has(fsnotify.Remove) {
					continue
				}
				require.NoError(t, w.Close())
				slices.Sort(links)
				return append(events, links...)
			}
			name := filepath.Base(event.Name)
			line := event.Op.String() + " " + stamp.ReplaceAllString(name, "..stamp")
			if strings.HasPrefix(name, "..") {
				events = append(events, line)
			} else {
				links = append(links, line)
			}
		case err := <-w.Errors:
			t.Fatal(err)
		case <-time.After(time.Minute):
			t.Fatal("the end was not seen")
		}
	}
}
