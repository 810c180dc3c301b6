package schedule

import (
	"fmt"
	"time"
)

// An OptionError says that an argument cannot be. Correct it.
type OptionError struct {
	Option  string // such as "interval", "expression" or "window 2"
	Problem string // what is wrong and what is expected, in words
}

func (e *OptionError) Error() string { return "schedule: " + e.Option + " " + e.Problem }

// An IntervalError says that rotations come faster than connections with the old
// credential go, so that a third credential would be made while two are in use.
type IntervalError struct {
	Interval    time.Duration // between rotations
	Lifetime    time.Duration // of connections
	Propagation time.Duration // until every consumer has the new credential

	// Change is the number to change first: "interval" or "lifetime".
	Change string
}

func (e *IntervalError) Error() string {
	text := fmt.Sprintf("schedule: the interval of %v between rotations must be longer than the %v that connections live and the %v of propagation together (%v): ",
		e.Interval, e.Lifetime, e.Propagation, e.Lifetime+e.Propagation)
	if e.Change == "lifetime" {
		return text + fmt.Sprintf("let connections live for less than %v, or rotate less often", e.Interval-e.Propagation)
	}
	return text + "make the interval longer"
}
