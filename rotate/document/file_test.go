package document_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate/document"
)

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "document")
	one, two := document.File(path, 0o640), document.File(path, 0o640)
	ctx := t.Context()

	content, version, err := one.Read(ctx)
	require.NoError(t, err)
	require.Empty(t, content)
	require.NoError(t, one.Write(ctx, []byte("one"), version))
	require.ErrorIs(t, two.Write(ctx, []byte("two"), version), document.ErrChanged)
	content, version, err = two.Read(ctx)
	require.NoError(t, err)
	require.Equal(t, "one", string(content))
	require.NoError(t, two.Write(ctx, []byte("two"), version))

	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o640), info.Mode())

	gone, cancel := context.WithCancel(ctx)
	cancel()
	_, _, err = one.Read(gone)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, one.Write(gone, nil, version), context.Canceled)
}

// A write that was broken off leaves what was there, and does not stand in the way.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "document")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
	require.NoError(t, os.WriteFile(path+".new", []byte("ha"), 0o600))
	f := document.File(path, 0o600)
	require.NoError(t, document.Change(t.Context(), f, func(old []byte) ([]byte, error) { return append(old, " and new"...), nil }))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "old and new", string(content))
	require.NoFileExists(t, path+".new")
}

func TestErrors(t *testing.T) {
	_, version, err := document.File(t.TempDir(), 0o600).Read(t.Context()) // a directory
	require.Error(t, err)
	missing := document.File(filepath.Join(t.TempDir(), "no", "directory"), 0o600)
	require.ErrorIs(t, missing.Write(t.Context(), nil, version), fs.ErrNotExist)

	f := document.File(filepath.Join(t.TempDir(), "document"), 0o600)
	mine := errors.New("mine")
	require.ErrorIs(t, document.Change(t.Context(), f, func([]byte) ([]byte, error) { return []byte("no"), mine }), mine)
	content, _, err := f.Read(t.Context())
	require.NoError(t, err)
	require.Empty(t, content)
}

// Nothing that anybody writes is lost.
func TestChangeAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "document")
	var group sync.WaitGroup
	errs := make(chan error, 20)
	for range cap(errs) {
		group.Go(func() {
			errs <- document.Change(t.Context(), document.File(path, 0o600), func(old []byte) ([]byte, error) {
				n, _ := strconv.Atoi(string(old)) // nothing is zero
				return []byte(strconv.Itoa(n + 1)), nil
			})
		})
	}
	group.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "20", string(content))
}
