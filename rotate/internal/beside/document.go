package beside

import (
	"context"
)

// Marker is the key of the secret that holds the token of its version.
const Marker = "rekey_version"

// Which of the two documents is meant.
type Which int

// The documents.
const (
	Secret Which = iota
	Envelope
)

// A Document is what was read at one moment.
type Document struct {
	Data    map[string]any // as encoding/json decodes with UseNumber; nil: it is not there
	Version string         // another one after each write; names versions that no rotation has made
	Raw     []byte         // what it was read from, where versions alone do not tell; may be nil
}

// A Place keeps the two documents.
type Place interface {
	// Read returns a document. One that is not there is no error.
	Read(ctx context.Context, w Which) (Document, error)

	// Write replaces a document, as a whole and for good, if it still is old, and
	// returns it as it is now. Else the error wraps [rotate.ErrConflict].
	Write(ctx context.Context, w Which, old Document, data map[string]any) (Document, error)

	// Where names the document for errors.
	Where(w Which) string

	// Missing is the error for a secret that is not there.
	Missing() error
}
