package rotate

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// An Outcome says where a step is: it has begun, or how it has ended.
type Outcome string

// The outcomes of a step.
const (
	OutcomeBegun  Outcome = "begun"  // another event of the step follows
	OutcomeOK     Outcome = "ok"     // done
	OutcomeFailed Outcome = "failed" // Event.Err says why
)

// An Event is one line of the audit: what was done to which secret, by whom and
// with what result. It never holds a value.
type Event struct {
	Time     time.Time
	Secret   string // Store.Name
	Rotation string // the rotation's token
	Strategy string // Strategy.Name of the target
	Step     Step
	Attempt  int    // of this step in this run, from 1
	From, To string // versions
	User     string // whom the step is about
	Actor    string // Config.Actor
	Approver string // set with approve
	Host     string // where this process runs
	Outcome  Outcome
	Took     time.Duration // of a step that has ended
	Class    string        // of the error: see [Class]
	Err      error         // why the step failed; nil: it has not
	Sessions int           // drain: how many are left
	Forced   string        // why a step went on although it should have waited
}

// Class names what kind of error it is, with few values, for metrics: "conflict",
// "running", "unfit", "denied", "undrained" and "mismatch" for what wraps an error of
// this package, "canceled", "timeout", or "other". It is empty for nil.
func Class(err error) string {
	for _, c := range []struct {
		is   error
		name string
	}{
		{ErrConflict, "conflict"},
		{ErrRunning, "running"},
		{ErrUnfit, "unfit"},
		{ErrDenied, "denied"},
		{ErrUndrained, "undrained"},
		{ErrMismatch, "mismatch"},
		{context.Canceled, "canceled"},
		{context.DeadlineExceeded, "timeout"},
	} {
		if errors.Is(err, c.is) {
			return c.name
		}
	}
	if err == nil {
		return ""
	}
	return "other"
}

// LogTo returns an audit that writes to a logger.
func LogTo(l *slog.Logger) func(Event) {
	return func(e Event) {
		level := slog.LevelInfo
		switch {
		case errors.Is(e.Err, ErrDenied): // which is for somebody to decide, and not a failure
			level = slog.LevelWarn
		case e.Outcome == OutcomeFailed:
			level = slog.LevelError
		case e.Forced != "":
			level = slog.LevelWarn
		}
		l.LogAttrs(context.Background(), level, "rekey: rotation "+string(e.Step)+" "+string(e.Outcome), e.attrs()...)
	}
}

func (e Event) attrs() []slog.Attr {
	attrs := []slog.Attr{
		slog.String("secret", e.Secret), slog.String("rotation", e.Rotation),
		slog.String("step", string(e.Step)), slog.String("outcome", string(e.Outcome)),
	}
	add := func(name, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(name, value))
		}
	}
	add("strategy", e.Strategy)
	add("from", e.From)
	add("to", e.To)
	add("user", e.User)
	add("actor", e.Actor)
	add("approver", e.Approver)
	add("host", e.Host)
	if e.Attempt > 1 {
		attrs = append(attrs, slog.Int("attempt", e.Attempt))
	}
	if e.Took > 0 {
		attrs = append(attrs, slog.Duration("took", e.Took))
	}
	if e.Step == StepDrain || e.Step == StepClear {
		attrs = append(attrs, slog.Int("sessions", e.Sessions))
	}
	add("forced", e.Forced)
	add("class", e.Class)
	if e.Err != nil {
		attrs = append(attrs, slog.Any("error", e.Err))
	}
	return attrs
}
