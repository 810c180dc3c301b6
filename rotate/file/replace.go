package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// A point is where tests break a replacement off.
type point string

const (
	created point = "created"
	written point = "written"
	synced  point = "synced"
	renamed point = "renamed"
)

func (f *files) at(p point) error {
	if f.fault == nil {
		return nil
	}
	return f.fault(p)
}

// replace makes path hold text, or leaves it as it is. Owner and permissions are
// those of like, as far as they go; nil: ours alone. If ready returns an error
// when all is prepared, that is it.
func (f *files) replace(path string, text []byte, like fs.FileInfo, ready func() error) (err error) {
	// The name is always the same, so that one left by a crash does not stay.
	next := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".rekey-new")
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := f.prepare(next, text, like); err != nil {
		return errors.Join(err, gone(next))
	}
	if err := ready(); err != nil {
		return errors.Join(err, gone(next))
	}
	if err := os.Rename(next, path); err != nil {
		return errors.Join(err, gone(next))
	}
	if err := f.at(renamed); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// gone removes a file that may not be there.
func gone(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// prepare makes a file and has it on the disk.
func (f *files) prepare(path string, text []byte, like fs.FileInfo) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := f.at(created); err != nil {
		return err
	}
	if like != nil {
		own(file, like)
		if err := file.Chmod(like.Mode().Perm() & 0o640); err != nil {
			return err
		}
	}
	if _, err := file.Write(text); err != nil {
		return err
	}
	if err := f.at(written); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	return f.at(synced)
}
