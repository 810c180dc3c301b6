package source

import (
	"errors"
	"fmt"
)

// Permanent marks err: the same request will fail again until somebody changes
// something, so it is retried at leisure and a start-up does not wait for it.
// Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &markedError{err, true}
}

// IsPermanent reports whether err, or anything that it wraps, is marked by
// [Permanent] or is a [*FieldError].
func IsPermanent(err error) bool {
	var marked *markedError
	if errors.As(err, &marked) {
		return marked.permanent
	}
	var field *FieldError
	return errors.As(err, &field)
}

// A markedError says whether err is permanent and overrules what is inside.
type markedError struct {
	err       error
	permanent bool
}

func (e *markedError) Error() string { return e.err.Error() }
func (e *markedError) Unwrap() error { return e.err }

// A FieldError says that a store answered, but that one field of the answer is
// missing or not what it should be. The value itself is never in it. Mend the
// secret in the store; the last good credential serves meanwhile.
type FieldError struct {
	Where   string // the place: a path, a secret's name, the environment
	Field   string // the field's name, such as "password"
	Problem string // what is wrong and what is expected, in words
}

func (e *FieldError) Error() string {
	return fmt.Sprintf("%s: field %q %s", e.Where, e.Field, e.Problem)
}
