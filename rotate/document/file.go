package document

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rekey-go/rekey/internal/filelock"
)

// File returns a document in a file, which gets these permissions when it is
// written. Writers exclude each other by flock(2) on an empty file beside it, whose
// name ends in ".lock", so they have to be on one machine. Where
// the system has no flock, they need a lock of their own.
//
// The file is written under another name, synced to the disk and renamed, then the
// directory is synced: after a crash there is the old one or the new one.
func File(path string, mode fs.FileMode) Store { return file{path, mode.Perm()} }

type file struct {
	path string
	mode fs.FileMode
}

func (f file) Read(ctx context.Context) (content []byte, version string, err error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	content, err = os.ReadFile(f.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, "", fmt.Errorf("document: %w", err)
	}
	sum := sha256.Sum256(content)
	return content, hex.EncodeToString(sum[:]), nil
}

func (f file) Write(ctx context.Context, content []byte, version string) error {
	unlock, err := filelock.Lock(ctx, f.path+".lock")
	if err != nil {
		return fmt.Errorf("document: the lock: %w", err)
	}
	defer unlock()
	switch _, now, err := f.Read(ctx); {
	case err != nil:
		return err
	case now != version:
		return fmt.Errorf("document: %s: %w", f.path, ErrChanged)
	}
	if err := f.replace(content); err != nil {
		return fmt.Errorf("document: %w", err)
	}
	return nil
}

func (f file) replace(content []byte) error {
	next := f.path + ".new" // the same each time, so that none stays after a crash
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := f.prepare(next, content); err != nil {
		return errors.Join(err, os.Remove(next))
	}
	if err := os.Rename(next, f.path); err != nil {
		return errors.Join(err, os.Remove(next))
	}
	dir, err := os.Open(filepath.Dir(f.path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

func (f file) prepare(path string, content []byte) (err error) {
	w, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if _, err := w.Write(content); err != nil {
		return err
	}
	if err := w.Chmod(f.mode); err != nil {
		return err
	}
	return w.Sync()
}
