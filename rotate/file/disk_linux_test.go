package file_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate/file"
)

// A disk of a few pages. To mount it takes root; TestDiskFullReported runs
// everywhere.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=128k,mode=0700")
	if errors.Is(err, syscall.EPERM) {
		t.Log("not allowed to mount a small disk: see TestDiskFullReported")
		return
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	path, filler := filepath.Join(dir, "app.json"), filepath.Join(dir, "filler")
	require.NoError(t, os.WriteFile(path, text(t, login("app", canary)), 0o600))
	s := file.New(path, nil)
	_ = os.WriteFile(filler, make([]byte, 96<<10), 0o600)
	big := next("canary-" + strings.Repeat("x", 30<<10))
	diskFull(t, path, s, big, func() { require.NoError(t, os.Remove(filler)) })

	// Full between two files: what is pending is safe, and what is current is, too.
	require.NoError(t, s.Create(t.Context(), "two", next("canary-"+strings.Repeat("y", 5<<10))))
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	fill(t, filler)
	require.ErrorIs(t, s.Promote(t.Context(), "two", "one"), syscall.ENOSPC)
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.Equal(t, "two", read(t, s).Pending.Token)
	require.NoError(t, os.Remove(filler))
	require.NoError(t, s.Promote(t.Context(), "two", "one"))
	require.Equal(t, "two", read(t, s).Current.Token)
	onlyOurs(t, path)
}

// fill takes all the room that is left.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4<<10))
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
}

// The owner stays who it was, where we may see to that.
func TestOwner(t *testing.T) {
	path := secret(t)
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = 65534, 65533
		require.NoError(t, os.Chown(path, uid, gid))
	}
	s := file.New(path, nil)
	require.NoError(t, s.Create(t.Context(), "one", next("second")))
	require.NoError(t, s.Promote(t.Context(), "one", read(t, s).Current.Token))
	for name, want := range map[string][2]int{"app.json": {uid, gid}, ".app.json.rekey": {os.Getuid(), os.Getgid()}} {
		info, err := os.Stat(filepath.Join(filepath.Dir(path), name))
		require.NoError(t, err)
		stat := info.Sys().(*syscall.Stat_t)
		require.Equal(t, want, [2]int{int(stat.Uid), int(stat.Gid)}, name)
	}
}
