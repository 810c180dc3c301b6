package mount

import (
	"os"
	"path/filepath"
)

// Render replaces the file at path as Vault Agent does: a new file beside it,
// renamed over it.
func Render(path, content string) error {
	f, err := os.CreateTemp(filepath.Dir(path), "")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it is there only if something has failed
	if _, err = f.WriteString(content); err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Chmod(f.Name(), 0o640)
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}
