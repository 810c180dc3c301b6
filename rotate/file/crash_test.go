//go:build unix

package file_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate/file"
	"github.com/rekey-go/rekey/source"
	sourcefile "github.com/rekey-go/rekey/source/file"
)

// envChild makes the test program a rotation that kills itself at the point with
// this number, counted from 1.
const envChild = "REKEY_TEST_FILE_CRASH"

func asChild() bool {
	n, err := strconv.Atoi(os.Getenv(envChild))
	if err != nil {
		return false
	}
	s := file.New(os.Args[1], nil)
	s.Fault(func(string) error {
		if n--; n == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	})
	if err := rotation(context.Background(), s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

// rotation does whatever is left of: rotate twice, go back, begin another one
// and give it up.
func rotation(ctx context.Context, s *file.Store) error {
	at := func(name string) bool {
		st, err := s.Read(ctx)
		return err == nil && st.Current.Token == name
	}
	st, err := s.Read(ctx)
	if err != nil {
		return err
	}
	first := st.Current.Token
	if first != "one" && first != "two" {
		err = errors.Join(s.Create(ctx, "one", next("of one")), s.Promote(ctx, "one", first))
	}
	if err == nil && at("one") && (st.Previous == nil || st.Previous.Token != "two") {
		err = errors.Join(s.Create(ctx, "two", next("of two")), s.Promote(ctx, "two", "one"), s.Restore(ctx, "one", "two"))
	} else if err == nil && at("two") {
		err = s.Restore(ctx, "one", "two")
	}
	return errors.Join(err, s.Create(ctx, "three", next("of three")), s.Discard(ctx, "three"))
}

// The process is killed at each point of each replacement; the next one finds
// whole files and goes on.
func TestCrash(t *testing.T) {
	me, err := os.Executable()
	require.NoError(t, err)
	for n := 1; ; n++ {
		path := secret(t)
		cmd := exec.Command(me, path)
		cmd.Env = append(os.Environ(), envChild+"="+strconv.Itoa(n))
		out, err := cmd.CombinedOutput()
		if err == nil {
			require.Greater(t, n, 8*4, "there are eight replacements at least, with four points each")
			break
		}
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
		require.False(t, exit.Exited(), "killed at %d: %s", n, out)

		c, err := sourcefile.JSON(path, nil).Credential(t.Context())
		require.NoError(t, err, "killed at %d", n)
		require.Contains(t, []string{canary, "of one", "of two"}, c.Password.Reveal())

		s := file.New(path, nil)
		require.NoError(t, rotation(t.Context(), s), "killed at %d", n)
		st := read(t, s)
		require.Equal(t, "one", st.Current.Token, "killed at %d", n)
		require.Equal(t, "of one", st.Current.Credential.Password.Reveal())
		require.Equal(t, "two", st.Previous.Token)
		require.Nil(t, st.Pending)
		onlyOurs(t, path)
	}
}

// onlyOurs looks for files that a replacement has left behind.
func onlyOurs(t *testing.T, path string) {
	t.Helper()
	var names []string
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	require.Equal(t, []string{".app.json.rekey", ".app.json.rekey.lock", "app.json"}, names)
}

// diskFull checks that s, whose disk has no room, leaves all as it was, and that
// it goes on when there is room again.
func diskFull(t *testing.T, path string, s *file.Store, big source.Credential, room func()) {
	t.Helper()
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	first := read(t, s).Current.Token
	err = s.Create(t.Context(), "one", big)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NotContains(t, err.Error(), "canary")
	st := read(t, s)
	require.Equal(t, first, st.Current.Token)
	require.Nil(t, st.Pending)
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)
	room()
	require.NoError(t, s.Create(t.Context(), "one", big))
	require.NoError(t, s.Promote(t.Context(), "one", first))
	require.True(t, read(t, s).Current.Credential.Password.Equal(big.Password))
	onlyOurs(t, path)
}

func TestDiskFullReported(t *testing.T) {
	for _, at := range []string{file.Created, file.Written, file.Synced} {
		t.Run(at, func(t *testing.T) {
			path := secret(t)
			s := file.New(path, nil)
			s.Fault(func(point string) error {
				if point == at {
					return &os.PathError{Op: "write", Path: "next", Err: syscall.ENOSPC}
				}
				return nil
			})
			diskFull(t, path, s, next("canary-big"), func() { s.Fault(func(string) error { return nil }) })
		})
	}
}
