package job

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rekey-go/rekey/rotate"
)

func runFlags(set *flag.FlagSet, o *options) {
	byFlag(set, o)
	set.BoolVar(&o.now, "now", false, "rotate whether it is due or not, and whether the database accepts the current version or not")
}

// run gives each secret its turn.
func run(ctx context.Context, c *call) (int, error) {
	var all []outcome
	for _, s := range c.secrets {
		all = append(all, s.run(ctx))
	}
	return c.sumUp(all)
}

func (s *secret) run(ctx context.Context) outcome {
	now := time.Now()
	r, err := s.rotator(s.approve(now))
	if err != nil {
		return s.outcomeOf("", rotate.Result{}, err)
	}
	st, err := r.Status(ctx)
	if err != nil {
		return s.outcomeOf("", rotate.Result{}, err)
	}
	pending := st.Pending != nil
	if st.Mismatch != "" && !pending { // which may be a rollback that was broken off
		if _, err = r.Finish(ctx); err == nil || errors.Is(err, rotate.ErrMismatch) {
			st, err = r.Status(ctx)
		}
		if err != nil {
			return s.outcomeOf("", rotate.Result{}, err)
		}
		pending = st.Pending != nil
	}
	ahead := pending && st.Pending.Accepted // which a run finishes
	if st.Mismatch != "" && !ahead && !s.call.now {
		return s.outcomeOf("", rotate.Result{}, fmt.Errorf("%w: %s", rotate.ErrMismatch, st.Mismatch))
	}
	due := s.schedule.Next(st.Rotated, now)
	if !s.call.now && !pending && (due.IsZero() || due.After(now)) {
		result, err := r.Finish(ctx)
		state := "not due"
		if len(result.Retired) > 0 {
			state = "finished"
		}
		o := s.outcomeOf(state, result, err)
		if o.Note = "due at " + stamp(due); due.IsZero() {
			o.Note = "never due"
		}
		return o
	}
	result, err := r.Rotate(ctx)
	switch {
	case err == nil:
		s.call.config.Approvals.forget(result.Rotation)
	case errors.Is(err, errRejected), errors.Is(err, errTooLate):
		return s.undo(ctx, r, result, err)
	}
	state := "rotated"
	if result.Resumed {
		state = "finished"
	}
	return s.outcomeOf(state, result, err)
}

// undo takes back a rotation that was not approved.
func (s *secret) undo(ctx context.Context, r *rotate.Rotator, result rotate.Result, denied error) outcome {
	if _, err := r.Undo(ctx); err != nil {
		return s.outcomeOf("", result, fmt.Errorf("%w; and it could not be undone: %w", denied, err))
	}
	s.call.config.Approvals.forget(result.Rotation)
	o := s.outcomeOf("", result, denied)
	o.Note = "undone"
	return o
}

// stateOf names a failure for people.
func stateOf(err error) string {
	switch {
	case errors.Is(err, errWaits):
		return "waits for approval"
	case errors.Is(err, errTooLate):
		return "not approved in time"
	}
	if class := rotate.Class(err); class != "other" {
		return class
	}
	return "failed"
}

func rehearseFlags(set *flag.FlagSet, o *options) {
	byFlag(set, o)
	set.StringVar(&o.until, "until", string(rotate.StepApprove), "the `step` before which it ends")
	set.BoolVar(&o.force, "force", false, "go beyond approve where that changes the password that is in use; whoever does so approves it")
}

// rehearse asks nobody for approval, as nothing is left of it. But forced it changes
// the password that is in use, and if it is killed then, the next run takes that for
// approved and finishes it: whoever forces it is on record as the approver.
func rehearse(ctx context.Context, c *call) (int, error) {
	var all []outcome
	for _, s := range c.secrets {
		var approve func(context.Context, rotate.Request) (string, error)
		if c.force && s.Approve {
			approve = c.approves
		}
		r, err := s.rotator(approve)
		if err != nil {
			all = append(all, s.outcomeOf("", rotate.Result{}, err))
			continue
		}
		until := rotate.Step(c.until)
		result, err := r.Rehearse(ctx, until, &rotate.RehearseOptions{InPlace: c.force})
		o := s.outcomeOf("rehearsed", result, err)
		o.Note = "up to " + c.until
		all = append(all, o)
	}
	return c.sumUp(all)
}

func rollbackFlags(set *flag.FlagSet, o *options) {
	byFlag(set, o)
	set.BoolVar(&o.yes, "yes", false, "do not ask")
	set.StringVar(&o.reason, "reason", "", "why, for the audit")
}

func rollback(ctx context.Context, c *call) (int, error) {
	s := c.secrets[0]
	st := s.look(ctx)
	st.Steps = nil  // those of another rotation
	out := c.Stderr // what is printed with -json is for programs
	st.print(out)
	switch {
	case st.Pending != nil:
		fmt.Fprintf(out, "This undoes rotation %s, which is under way, and keeps version %s.\n", st.Pending.Token, st.Current.Token)
	case st.Previous != nil:
		fmt.Fprintf(out, "This goes back from version %s (user %s) to %s (user %s), in the database and in the store.\n",
			st.Current.Token, st.Current.User, st.Previous.Token, st.Previous.User)
	}
	if err := c.confirm(s.Name); err != nil {
		return Failed, err
	}
	r, err := s.rotator(nil)
	if err != nil {
		return Done, err
	}
	result, err := r.Rollback(ctx)
	c.audit.note(entry{Secret: s.Name, Rotation: result.Rotation, Step: "rollback", Outcome: outcomeWord(err), Actor: c.by, Reason: c.reason})
	if err == nil {
		c.config.Approvals.forget(result.Rotation)
	}
	return c.sumUp([]outcome{s.outcomeOf("rolled back", result, err)})
}

func revokeFlags(set *flag.FlagSet, o *options) {
	rollbackFlags(set, o)
}

// revoke counts whoever calls it as the approver.
func revoke(ctx context.Context, c *call) (int, error) {
	if c.reason == "" {
		return Usage, wrong("revoke needs a -reason, for the audit")
	}
	s := c.secrets[0]
	st := s.look(ctx)
	st.Steps = nil // nobody asks for those now
	st.print(c.Stderr)
	fmt.Fprintln(c.Stderr, "This rotates at once and waits for nobody: sessions of the old credential are ended where the database lets us, and what they are doing fails.")
	if err := c.confirm(s.Name); err != nil {
		return Failed, err
	}
	r, err := s.rotator(c.approves)
	if err != nil {
		return Done, err
	}
	result, err := r.Revoke(ctx, c.reason)
	c.audit.note(entry{Secret: s.Name, Rotation: result.Rotation, Step: "revoke", Outcome: outcomeWord(err), Actor: c.by, Reason: c.reason})
	return c.sumUp([]outcome{s.outcomeOf("revoked", result, err)})
}

// approves takes whoever calls the command for the approver.
func (c *call) approves(context.Context, rotate.Request) (string, error) { return c.by, nil }

func outcomeWord(err error) string {
	if err != nil {
		return string(rotate.OutcomeFailed)
	}
	return string(rotate.OutcomeOK)
}

// confirm has the name typed of what is about to change.
func (c *call) confirm(name string) error {
	if c.yes {
		return nil
	}
	fmt.Fprintf(c.Stderr, "Type %s to go on: ", name)
	line, err := bufio.NewReader(c.Stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(line) != name {
		return errors.New("nothing was done: the answer was another; -yes does not ask")
	}
	return nil
}

func approveFlags(set *flag.FlagSet, o *options) {
	byFlag(set, o)
	set.BoolVar(&o.deny, "deny", false, "deny it: the next run undoes the rotation")
	set.StringVar(&o.reason, "reason", "", "why, for the audit; needed to deny")
	set.Var(&o.valid, "for", "how long the approval counts, such as 2h; default: approvals.valid of the configuration")
}

func approve(_ context.Context, c *call) (int, error) {
	a := &c.config.Approvals
	rotation := c.args[0]
	switch {
	case c.by == "":
		return Usage, wrong("approve needs -by: who decides")
	case c.deny && c.reason == "":
		return Usage, wrong("to deny needs a -reason")
	case a.Directory == "" || !tokens.MatchString(rotation):
		return Usage, wrong("no rotation %q asks for approval", rotation)
	}
	q, err := a.asked(rotation)
	if err != nil {
		return Failed, err
	}
	if q == nil {
		return Usage, wrong("no rotation %q asks for approval", rotation)
	}
	now := time.Now().UTC()
	if now.After(q.Until) {
		return NotApproved, fmt.Errorf("%w: the request has ended at %s; the next run undoes the rotation", errTooLate, stamp(q.Until))
	}
	valid := a.Valid
	if c.valid > 0 {
		valid = c.valid
	}
	d := decision{Rotation: rotation, Secret: q.Secret, Approved: !c.deny, By: c.by, Reason: c.reason, At: now, Until: now.Add(time.Duration(valid))}
	if err := a.decide(d); err != nil {
		return Failed, err
	}
	word := "approved"
	if c.deny {
		word = "denied"
	}
	c.audit.note(entry{Secret: q.Secret, Rotation: rotation, Step: "decision", Outcome: word, Actor: c.by, Reason: c.reason})
	return Done, c.print(d, func(w io.Writer) {
		fmt.Fprintf(w, "%s: rotation %s is %s by %s, until %s\n", d.Secret, rotation, word, d.By, stamp(d.Until))
	})
}
