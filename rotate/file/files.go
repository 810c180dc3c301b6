package file

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
	"unicode/utf8"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/internal/beside"
	"github.com/rekey-go/rekey/source"
)

// files are the place of the two documents.
type files struct {
	secret, beside string // absolute

	fault func(point) error // of a test; nil: none
}

var _ beside.Place = (*files)(nil)

// Where is the path of a document.
func (f *files) Where(w beside.Which) string {
	if w == beside.Secret {
		return f.secret
	}
	return f.beside
}

// Missing tells of a secret that is not there.
func (f *files) Missing() error {
	return source.Permanent(&fs.PathError{Op: "open", Path: f.secret, Err: fs.ErrNotExist})
}

// largest is what a file may hold, in bytes. More is not a credential.
const largest = 1 << 20

// Read reads a document. Its version is when it was written.
func (f *files) Read(ctx context.Context, w beside.Which) (d beside.Document, err error) {
	if err := ctx.Err(); err != nil {
		return d, err
	}
	path := f.Where(w)
	info, err := os.Stat(path) // opening a named pipe would block, so look first
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return d, nil
	case err != nil:
		return d, fmt.Errorf("file: %w", err)
	case !info.Mode().IsRegular():
		return d, source.Permanent(fmt.Errorf("%s: is not a regular file", path))
	case info.Size() > largest:
		return d, tooLarge(path)
	}
	file, err := os.Open(path)
	if err != nil {
		return d, fmt.Errorf("file: %w", err)
	}
	defer file.Close()
	if info, err = file.Stat(); err == nil { // of the file that is read
		d.Raw, err = io.ReadAll(io.LimitReader(file, largest+1))
	}
	switch {
	case err != nil:
		return d, fmt.Errorf("file: %w", err)
	case len(d.Raw) > largest:
		return d, tooLarge(path)
	}
	d.Version = info.ModTime().UTC().Format(time.RFC3339Nano)
	d.Data = object(d.Raw)
	if d.Data == nil { // half of it may have been written by somebody else
		return d, fmt.Errorf("%s: is not a JSON object", path)
	}
	return d, nil
}

func tooLarge(path string) error {
	return source.Permanent(fmt.Errorf("%s: is too large for a credential: more than %d bytes", path, largest))
}

// object reads a JSON object; nil: it is none.
func object(text []byte) map[string]any {
	if !utf8.Valid(text) {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff"))))
	dec.UseNumber()
	var data map[string]any
	if dec.Decode(&data) != nil || dec.More() {
		return nil
	}
	return data
}

// Write replaces a document. Who calls it has the lock.
func (f *files) Write(ctx context.Context, w beside.Which, old beside.Document, data map[string]any) (d beside.Document, err error) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(data); err != nil { // which may quote what it stumbles over
		return d, fmt.Errorf("%s: cannot be written as JSON", f.Where(w))
	}
	if text.Len() > largest {
		return d, tooLarge(f.Where(w))
	}
	path := f.Where(w)
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	} else if !errors.Is(err, fs.ErrNotExist) {
		return d, fmt.Errorf("file: %w", err)
	}
	like, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return d, fmt.Errorf("file: %w", err)
	}
	unchanged := func() error {
		now, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if !bytes.Equal(now, old.Raw) {
			return fmt.Errorf("%s: %w", path, rotate.ErrConflict)
		}
		return ctx.Err()
	}
	if w == beside.Envelope {
		like = nil // nobody else's business
	}
	if err := f.replace(path, text.Bytes(), like, unchanged); err != nil {
		return d, fmt.Errorf("file: %w", err)
	}
	return f.Read(context.WithoutCancel(ctx), w)
}
