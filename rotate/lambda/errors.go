package lambda

import (
	"context"
	"errors"
	"fmt"

	"github.com/rekey-go/rekey/rotate"
)

// An EventError says that an event is not one to act on. Nothing was done.
type EventError struct {
	Field   string // of the event: "Step", "SecretId" or "ClientRequestToken"
	Problem string // what is wrong and what to do, in words
}

func (e *EventError) Error() string { return "lambda: the event's " + e.Field + " " + e.Problem }

// An OptionError says that an option, or an environment variable, cannot be.
// Correct it.
type OptionError struct {
	Option  string // such as "Secrets" or "REKEY_SECRETS"
	Problem string // what is wrong and what is expected, in words
}

func (e *OptionError) Error() string { return "lambda: " + e.Option + " " + e.Problem }

// A StepError is a step that has failed. It wraps the cause: one of the errors
// that package rotate names, of its stores and targets, or a
// [*source.FieldError] of the secret.
type StepError struct {
	Step   string // as Secrets Manager calls it
	Secret string // its ARN
	Err    error  // the cause
}

func (e *StepError) Error() string {
	s := fmt.Sprintf("lambda: %s of %s: %v", e.Step, e.Secret, e.Err)
	for _, a := range advice {
		if errors.Is(e.Err, a.is) {
			return s + "; " + a.do
		}
	}
	if rejected(e.Err) {
		s += "; see whether the secret, or that of its masterarn, holds the password that the database has"
	}
	return s
}

func (e *StepError) Unwrap() error { return e.Err }

// advice is what to do about the causes that do not say so themselves.
var advice = []struct {
	is error
	do string
}{
	{rotate.ErrRunning, "Secrets Manager will call the step again"},
	{rotate.ErrUnfit, "the rotation has been undone, or will be by the next call; mend the cause and call RotateSecret"},
	{rotate.ErrUndrained, "see who uses that user, in pg_stat_activity; the next call waits again"},
	{rotate.ErrMismatch, "set the password of AWSCURRENT in the database by hand, or give the secret a masterarn"},
	{rotate.ErrConflict, "see with ListSecretVersionIds who else changes the secret, and call RotateSecret"},
	{context.DeadlineExceeded, "the next call goes on from here; if time runs out again, raise the function's timeout or let it reach what does not answer"},
}
