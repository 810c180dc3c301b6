// Package report tells platform teams once a day how their secrets stand: how old
// each is and when it is due, what is under way, who is left behind, whether store
// and database agree, who uses it, and how many steps have failed.
//
//	var tally report.Tally // its Audit goes into each rotate.Config
//	at, err := schedule.Cron("0 7 * * *", time.Local)
//	…
//	err = report.Daily(ctx, at, &tally, secrets, func(ctx context.Context, r report.Report) error {
//		return mail(ctx, r.String())
//	})
//
// A report holds names, users, versions and times, and never a value. Alerts
// should not wait for it: they belong to [rotate.Config].Audit and to the errors
// of a rotator.
package report

import (
	"context"
	"slices"
	"time"

	"github.com/rekey-go/rekey/rotate"
)

// A Rotator is what a report is made from; *rotate.Rotator is one.
type Rotator interface {
	Status(ctx context.Context) (rotate.Status, error)
}

// A Watched is one of the secrets to report on.
type Watched struct {
	// Name is the name of the rotator's store: that of its events.
	Name string

	// Rotator is asked for the status of the secret.
	Rotator Rotator

	// Schedule says when the secret is due. Nil: that is not known.
	Schedule rotate.Schedule
}

// A Report is how secrets stand at a time, and what has happened since the report
// before.
type Report struct {
	Time    time.Time `json:"time"`    // when it was made
	Since   time.Time `json:"since"`   // Steps, Failed and Classes are counted from here
	Secrets []Secret  `json:"secrets"` // in the order in which they were given
}

// A Secret is one line of a report.
type Secret struct {
	Name     string    `json:"name"`               // Watched.Name
	Strategy string    `json:"strategy,omitempty"` // of its target
	Version  string    `json:"version,omitempty"`  // that is current
	User     string    `json:"user,omitempty"`     // of that version
	Rotated  time.Time `json:"rotated,omitzero"`   // zero: never, as far as the store knows
	Due      time.Time `json:"due,omitzero"`       // zero: never, or not known; not after Report.Time: overdue

	UnderWay string    `json:"under_way,omitempty"` // the rotation
	Begun    time.Time `json:"begun,omitzero"`      // zero: not known
	Next     string    `json:"next,omitempty"`      // the step that it stopped before

	Left      []string   `json:"left,omitempty"`      // users that are not retired yet
	Consumers []Consumer `json:"consumers,omitempty"` // who uses it, or should
	Mismatch  string     `json:"mismatch,omitempty"`  // that store and database do not agree, in words

	Steps   int            `json:"steps"`             // that have ended
	Failed  int            `json:"failed"`            // of those
	Classes map[string]int `json:"classes,omitempty"` // of failures, see rotate.Class

	Error string `json:"error,omitempty"` // why it could not be looked at
}

// A Consumer is an application, with its open sessions, and those of them that
// still use an older credential than the current one. Where nobody has said who is
// expected, everybody is.
type Consumer struct {
	Application string    `json:"application"`     // as it calls itself to the database
	Expected    bool      `json:"expected"`        // see above
	Sessions    int       `json:"sessions"`        // open ones
	Behind      int       `json:"behind"`          // of them, those with an older credential
	Oldest      time.Time `json:"oldest,omitzero"` // when the first of them was opened
}

// ErrorRate is the part of the steps that failed, from 0 to 1; 0 if there were
// none.
func (s Secret) ErrorRate() float64 {
	if s.Steps == 0 {
		return 0
	}
	return float64(s.Failed) / float64(s.Steps)
}

// Alarming reports whether somebody should look at the secret today: store and
// database do not agree, it could not be looked at, a step has failed, it is
// overdue, or an application does not follow.
func (s Secret) Alarming(now time.Time) bool {
	return s.Mismatch != "" || s.Error != "" || s.Failed > 0 || s.overdue(now) ||
		slices.ContainsFunc(s.Consumers, func(c Consumer) bool { return c.Behind > 0 })
}

func (s Secret) overdue(now time.Time) bool { return !s.Due.IsZero() && !s.Due.After(now) }

// Make looks at the secrets, one after the other, and adds what tally, which may be
// nil, has counted. A secret that cannot be looked at says why.
func Make(ctx context.Context, tally *Tally, watched []Watched) Report {
	if tally == nil {
		tally = &Tally{}
	}
	now := time.Now()
	r := Report{Time: now, Since: tally.start(now)}
	for _, w := range watched {
		r.Secrets = append(r.Secrets, w.look(ctx, tally.of(w.Name), now))
	}
	return r
}

func (w Watched) look(ctx context.Context, c count, now time.Time) Secret {
	s := Secret{Name: w.Name, Steps: c.steps, Failed: c.failed, Classes: c.classes}
	st, err := w.Rotator.Status(ctx)
	if err != nil {
		s.Error = err.Error()
		return s
	}
	s.Strategy, s.Left, s.Mismatch = st.Strategy.Name, st.Left, st.Mismatch
	if st.Current != nil {
		s.Version, s.User, s.Rotated = st.Current.Token, st.Current.User, st.Rotated
		if w.Schedule != nil {
			s.Due = w.Schedule.Next(s.Rotated, now)
		}
	}
	if p := st.Pending; p != nil {
		s.UnderWay, s.Begun, s.Next = p.Token, p.Created, string(st.Next)
		if s.Begun.IsZero() {
			s.Begun = c.begun[p.Token]
		}
	}
	unknown := !slices.ContainsFunc(st.Consumers, func(c rotate.Consumer) bool { return c.Expected })
	for _, c := range st.Consumers {
		c.Expected = c.Expected || unknown
		s.Consumers = append(s.Consumers, Consumer(c))
	}
	return s
}

// Consumers returns which secrets each application uses, or should, by its name:
// whom a rotation concerns, the other way round. Applications that have no name are
// not in it.
func (r Report) Consumers() map[string][]string {
	all := make(map[string][]string)
	for _, s := range r.Secrets {
		for _, c := range s.Consumers {
			if c.Application != "" {
				all[c.Application] = append(all[c.Application], s.Name)
			}
		}
	}
	return all
}

// pause is how long after a report that could not be sent the next is made, and how
// long a sleep is at most: the wall clock may be set.
const pause = 10 * time.Minute

// Daily makes a report whenever at says so, until ctx ends, and has it sent. If
// that fails, another one is made ten minutes later, and nothing that was counted
// is lost. It returns ctx's error, or nil if at has no more times.
func Daily(ctx context.Context, at rotate.Schedule, tally *Tally, watched []Watched, send func(context.Context, Report) error) error {
	if tally == nil {
		tally = &Tally{}
	}
	tally.start(time.Now())
	due := at.Next(time.Now(), time.Now())
	for {
		if due.IsZero() {
			return nil
		}
		for wait := time.Until(due); wait > 0; wait = time.Until(due) {
			select {
			case <-time.After(min(wait, pause)):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		r := Make(ctx, tally, watched)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := send(ctx, r); err != nil {
			due = time.Now().Add(pause)
			continue
		}
		tally.reported(r)
		due = at.Next(r.Time, time.Now().Add(1)) // strictly later
	}
}
