package job

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/rekey-go/rekey/rotate"
)

// A past is a version of a secret, with what the audit knows of the rotation that
// made it.
type past struct {
	Secret   string    `json:"secret"`
	Token    string    `json:"token,omitempty"`
	User     string    `json:"user,omitempty"`
	Time     time.Time `json:"time,omitzero"`
	Stage    string    `json:"stage,omitempty"`
	Actor    string    `json:"actor,omitempty"`
	Approver string    `json:"approver,omitempty"`
	Notes    []string  `json:"notes,omitempty"` // what failed, was not waited for, was rolled back, and why
	Error    string    `json:"error,omitempty"`
}

func history(ctx context.Context, c *call) (int, error) {
	entries, err := c.audit.read(time.Time{})
	if err != nil {
		return Failed, err
	}
	var all []past
	var exits []int
	for _, s := range c.secrets {
		records, err := s.history(ctx)
		exits = append(exits, codeOf(err))
		if err != nil {
			all = append(all, past{Secret: s.Name, Error: err.Error()})
			continue
		}
		versions := undone(s.Name, entries, records)
		for i, r := range records {
			p := past{Secret: s.Name, Token: r.Token, User: r.User, Time: r.Time.UTC(), Stage: string(r.Stage)}
			again := slices.ContainsFunc(records[i+1:], func(later rotate.Record) bool { return later.Token == r.Token })
			if !again { // it is told once of a version that was restored
				p.explain(entries)
			}
			versions = append(versions, p)
		}
		slices.SortStableFunc(versions, func(a, b past) int { return a.Time.Compare(b.Time) })
		all = append(all, versions...)
	}
	return worst(exits), c.print(all, func(w io.Writer) {
		for i, p := range all {
			if i == 0 || all[i-1].Secret != p.Secret {
				fmt.Fprintf(w, "%s:\n", p.Secret)
			}
			p.print(w)
		}
	})
}

func (s *secret) history(ctx context.Context) ([]rotate.Record, error) {
	r, err := s.rotator(nil)
	if err != nil {
		return nil, err
	}
	return r.History(ctx)
}

// explain adds what the audit says about the rotation.
func (p *past) explain(entries []entry) {
	for _, e := range entries {
		if e.Secret != p.Secret || e.Rotation != p.Token {
			continue
		}
		if p.Actor == "" {
			p.Actor = e.Actor
		}
		if e.Step == string(rotate.StepApprove) && e.Outcome == string(rotate.OutcomeOK) {
			p.Approver = e.Approver
		}
		if note := e.note(); note != "" && !slices.Contains(p.Notes, note) {
			p.Notes = append(p.Notes, note)
		}
	}
}

// note is what is worth telling of an entry; empty: nothing.
func (e entry) note() string {
	switch {
	case e.Step == "decision", e.Step == "rollback", e.Step == "revoke":
		word := e.Step + " " + e.Outcome
		if e.Step == "decision" {
			word = e.Outcome
		}
		return strings.TrimSuffix(fmt.Sprintf("%s by %s: %s", word, e.Actor, e.Reason), ": ")
	case e.Forced != "":
		return "forced: " + e.Forced
	case e.Outcome == string(rotate.OutcomeFailed):
		return e.Step + " failed: " + e.Class
	}
	return ""
}

// undone are rotations that the audit knows of and the store does not any more.
func undone(secret string, entries []entry, records []rotate.Record) (all []past) {
	for _, e := range entries {
		known := slices.ContainsFunc(records, func(r rotate.Record) bool { return r.Token == e.Rotation }) ||
			slices.ContainsFunc(all, func(p past) bool { return p.Token == e.Rotation })
		if e.Secret != secret || e.Step != string(rotate.StepDiscard) || e.Outcome != string(rotate.OutcomeOK) || known {
			continue
		}
		p := past{Secret: secret, Token: e.Rotation, Time: e.Time, Stage: "undone"}
		p.explain(entries)
		all = append(all, p)
	}
	return all
}

func (p past) print(w io.Writer) {
	if p.Error != "" {
		fmt.Fprintf(w, "  %s\n", p.Error)
		return
	}
	when := "at an unknown time"
	if !p.Time.IsZero() {
		when = stamp(p.Time)
	}
	fmt.Fprintf(w, "  %s  %-8s %s", when, p.Stage, p.Token)
	for _, part := range []struct{ word, text string }{{"user", p.User}, {"by", p.Actor}, {"approved by", p.Approver}} {
		if part.text != "" {
			fmt.Fprintf(w, ", %s %s", part.word, part.text)
		}
	}
	fmt.Fprintln(w)
	for _, note := range p.Notes {
		fmt.Fprintf(w, "      %s\n", note)
	}
}
