// Package document keeps a small document that several processes change, such as
// the keys that a service publishes: it is read whole, and written whole if nobody
// else has written it meanwhile. [File] keeps it in a file; other places, such as
// an object store with conditional writes or a ConfigMap, need the two methods of
// [Store].
//
//	keys := document.File("/srv/keys.json", 0o644)
//	err := document.Change(ctx, keys, func(old []byte) ([]byte, error) { return with(old, next) })
package document

import (
	"context"
	"errors"
)

// ErrChanged is wrapped by errors of a write that comes too late.
var ErrChanged = errors.New("the document has changed meanwhile")

// A Store keeps one document. Its methods are safe for concurrent use, by several
// processes as well. The interface stays as it is within a major version.
type Store interface {
	// Read returns the document, past every cache, and a name for what it is now. A
	// document that is not there is empty and no error.
	Read(ctx context.Context) (content []byte, version string, err error)

	// Write replaces the version that Read has named. If there is another one, the
	// error wraps [ErrChanged]. Readers see the old one or the new one.
	Write(ctx context.Context, content []byte, version string) error
}

// Change has change make a new document of the old one, once more if somebody else
// has written meanwhile. What change returns unchanged is not written, nor is
// anything if it returns an error, which Change returns as it is.
func Change(ctx context.Context, s Store, change func(old []byte) ([]byte, error)) error {
	for {
		old, version, err := s.Read(ctx)
		if err != nil {
			return err
		}
		next, err := change(old)
		if err != nil || string(next) == string(old) {
			return err
		}
		if err := s.Write(ctx, next, version); !errors.Is(err, ErrChanged) {
			return err
		}
	}
}
