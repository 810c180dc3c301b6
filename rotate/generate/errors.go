package generate

import "fmt"

// An OptionError says that an option cannot be. Change it; nothing was made.
type OptionError struct {
	Option  string // such as "Length" or "prefix"
	Problem string // what is wrong and what is expected, in words
}

func (e *OptionError) Error() string { return "generate: " + e.Option + " " + e.Problem }

// A WeakError says that a secret with these options could be guessed. Make it
// longer, or the alphabet larger.
type WeakError struct {
	Bits  float64 // entropy it would have
	Least float64 // entropy it should have
}

func (e *WeakError) Error() string {
	return fmt.Sprintf("generate: a secret with these options has %.1f bits of entropy and needs %.0f: make it longer or its alphabet larger", e.Bits, e.Least)
}

// A RandomError says that random bytes could not be read. Nothing was made.
type RandomError struct {
	Err error // the reader's
}

func (e *RandomError) Error() string { return "generate: cannot read random bytes: " + e.Err.Error() }

// Unwrap returns the reader's error.
func (e *RandomError) Unwrap() error { return e.Err }
