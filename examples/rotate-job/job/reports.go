package job

import (
	"context"
	"flag"
	"io"
	"slices"
	"time"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/report"
)

func reportFlags(set *flag.FlagSet, o *options) {
	o.since = duration(24 * time.Hour)
	set.Var(&o.since, "since", "how far back the audit is read, such as 7d")
}

// broken stands for a rotator that could not be made.
type broken struct{ error }

func (b broken) Status(context.Context) (rotate.Status, error) { return rotate.Status{}, b.error }

// reports tells how the secrets stand and what the audit has of the last day. It
// ends with the exit code for a mismatch if there is one, so that whoever runs it
// every day is told.
func reports(ctx context.Context, c *call) (int, error) {
	now := time.Now()
	since := now.Add(-time.Duration(c.since))
	entries, err := c.audit.read(since)
	if err != nil {
		return Failed, err
	}
	var tally report.Tally
	for _, e := range entries {
		if e.Step == "decision" || e.Step == "rollback" || e.Step == "revoke" {
			continue // no steps of a rotation, but who asked for them
		}
		tally.Audit(rotate.Event{
			Time: e.Time, Secret: e.Secret, Rotation: e.Rotation, Step: rotate.Step(e.Step),
			Outcome: rotate.Outcome(e.Outcome), Class: e.Class,
		})
	}
	var watched []report.Watched
	for _, s := range c.secrets {
		w := report.Watched{Name: s.Name, Schedule: s.schedule}
		if r, err := s.rotator(nil); err != nil {
			w.Rotator = broken{err}
		} else {
			w.Rotator = r
		}
		watched = append(watched, w)
	}
	r := report.Make(ctx, &tally, watched)
	r.Since = since // the audit is older
	var exits []int
	for i, s := range r.Secrets {
		r.Secrets[i].Consumers = slices.DeleteFunc(s.Consumers, func(c report.Consumer) bool { return c.Application == own })
		switch {
		case s.Mismatch != "":
			exits = append(exits, Mismatch)
		case s.Error != "":
			exits = append(exits, Failed)
		}
	}
	return worst(exits), c.print(r, func(w io.Writer) { _, _ = io.WriteString(w, r.String()) })
}
