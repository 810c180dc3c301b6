package file

import (
	"errors"
	"fmt"
)

// ErrEmpty says that the file holds nothing but white space: somebody may be
// about to write it, so the next read may work.
var ErrEmpty = errors.New("is empty")

// ErrTooLarge says that the file is larger than Options.MaxSize. It was not
// read. Is it the right file?
var ErrTooLarge = errors.New("is too large for a credential")

// ErrNoMatch says that no line of a password file fits the [Match].
var ErrNoMatch = errors.New("has no line for this host, port, database and user")

// errUnsettled says that a directory changed during every attempt to read it.
var errUnsettled = errors.New("kept changing while it was read")

// A SyntaxError says where a file's content stops making sense. It may be half
// written, so the next read may work. The content itself is never in it.
type SyntaxError struct {
	Path    string // of the file
	Line    int    // counted from 1
	Problem string // what was expected, in words
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s: line %d: %s", e.Path, e.Line, e.Problem)
}
