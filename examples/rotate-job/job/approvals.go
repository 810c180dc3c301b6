package job

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/rekey-go/rekey/rotate"
)

// Approvals are files in a directory: a run that needs one writes
// ROTATION.request.json and ends, approve writes ROTATION.decision.json, and the
// next run goes on. Who may write there may approve: give that right to people
// and not to the job's own user alone.
type approvals struct {
	Directory string   `yaml:"directory"`
	Timeout   duration `yaml:"timeout"` // how long a request waits; zero: 3d
	Valid     duration `yaml:"valid"`   // how long a decision counts; zero: 24h
}

// A question is what a run has asked.
type question struct {
	Rotation  string    `json:"rotation"`
	Secret    string    `json:"secret"`
	Strategy  string    `json:"strategy"`
	FromUser  string    `json:"from_user"`
	ToUser    string    `json:"to_user"`
	Next      string    `json:"next"` // what happens at once after the approval
	Consumers []string  `json:"consumers,omitempty"`
	Asked     time.Time `json:"asked"`
	Until     time.Time `json:"until"`
}

// A decision is what somebody has answered.
type decision struct {
	Rotation string    `json:"rotation"`
	Secret   string    `json:"secret"`
	Approved bool      `json:"approved"`
	By       string    `json:"by"`
	Reason   string    `json:"reason,omitempty"`
	At       time.Time `json:"at"`
	Until    time.Time `json:"until"`
}

var (
	errWaits    = errors.New("waits for approval")
	errRejected = errors.New("denied")
	errTooLate  = errors.New("nobody has approved in time")
)

func (a *approvals) check() (err error) {
	if a.Directory, err = expand(a.Directory); err != nil {
		return fmt.Errorf("directory: %w", err)
	}
	if a.Timeout == 0 {
		a.Timeout = duration(3 * 24 * time.Hour)
	}
	if a.Valid == 0 {
		a.Valid = duration(24 * time.Hour)
	}
	return nil
}

// approve returns what a rotator asks: it answers at once.
func (s *secret) approve(now time.Time) func(context.Context, rotate.Request) (string, error) {
	if !s.Approve {
		return nil
	}
	a := &s.call.config.Approvals
	return func(_ context.Context, r rotate.Request) (string, error) {
		q := question{
			Rotation: r.Rotation, Secret: s.Name, Strategy: r.Strategy.Name, FromUser: r.From.Username, ToUser: r.To.Username,
			Next: string(r.Next), Consumers: r.Concerns, Asked: now.UTC(), Until: now.Add(time.Duration(a.Timeout)).UTC(),
		}
		return a.answer(q, now)
	}
}

// answer looks for a decision, and else asks for one.
func (a *approvals) answer(q question, now time.Time) (approver string, err error) {
	if !tokens.MatchString(q.Rotation) {
		return "", fmt.Errorf("rotation %q cannot be asked for by a file of its name", q.Rotation)
	}
	d, err := a.decided(q.Rotation)
	switch {
	case err != nil:
		return "", err
	case d == nil:
	case d.Secret != q.Secret:
		return "", fmt.Errorf("the decision on %s is about secret %s", q.Rotation, d.Secret)
	case !d.Approved:
		return "", fmt.Errorf("%w by %s: %s", errRejected, d.By, d.Reason)
	case now.Before(d.Until):
		return d.By, nil
	}
	asked, err := a.asked(q.Rotation)
	if err != nil {
		return "", err
	}
	if asked == nil {
		if err := a.write(q.Rotation, "request", q); err != nil {
			return "", err
		}
		asked = &q
	}
	switch {
	case now.After(asked.Until):
		return "", fmt.Errorf("%w: asked at %s", errTooLate, stamp(asked.Asked))
	case d != nil:
		return "", fmt.Errorf("%w: that of %s has ended at %s", errWaits, d.By, stamp(d.Until))
	}
	return "", fmt.Errorf("%w until %s: rotate-job approve %s -by NAME", errWaits, stamp(asked.Until), q.Rotation)
}

// decide answers a request, once: only a decision that has ended is replaced.
func (a *approvals) decide(d decision) error {
	before, err := a.decided(d.Rotation)
	switch {
	case err != nil:
		return err
	case before != nil && (!before.Approved || d.At.Before(before.Until)):
		return fmt.Errorf("%s has decided on that at %s", before.By, stamp(before.At))
	case before != nil:
		if err := os.Remove(a.path(d.Rotation, "decision")); err != nil {
			return err
		}
	}
	err = a.write(d.Rotation, "decision", d)
	if errors.Is(err, fs.ErrExist) {
		return errors.New("somebody else has just decided on that")
	}
	return err
}

func (a *approvals) asked(rotation string) (*question, error) {
	return read[question](a.path(rotation, "request"))
}

func (a *approvals) decided(rotation string) (*decision, error) {
	d, err := read[decision](a.path(rotation, "decision"))
	if d != nil && (d.Rotation != rotation || d.By == "") {
		return nil, fmt.Errorf("%s is not a decision on that rotation", a.path(rotation, "decision"))
	}
	return d, err
}

// forget removes what was asked about a rotation that is over.
func (a *approvals) forget(rotation string) {
	for _, kind := range []string{"request", "decision"} {
		_ = os.Remove(a.path(rotation, kind)) // what stays is about a rotation that nobody will ask for again
	}
}

// tokens are names of files as well.
var tokens = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)

func (a *approvals) path(rotation, kind string) string {
	return filepath.Join(a.Directory, rotation+"."+kind+".json")
}

// write makes a file that is whole at once, and must not be there yet.
func (a *approvals) write(rotation, kind string, v any) error {
	if !tokens.MatchString(rotation) {
		return wrong("%q does not name a rotation", rotation)
	}
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(a.Directory, ".rotate-job-*")
	if err != nil {
		return fmt.Errorf("approvals: %w", err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it has another name by then, or is of no use
	_, err = f.Write(append(text, '\n'))
	err = errors.Join(err, f.Chmod(0o640), f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("approvals: %w", err)
	}
	if err := os.Link(f.Name(), a.path(rotation, kind)); err != nil {
		return fmt.Errorf("approvals: %w", err)
	}
	return nil
}

// read returns nil where there is no such file.
func read[T any](path string) (*T, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("approvals: %w", err)
	}
	v := new(T)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return nil, fmt.Errorf("approvals: %s: %w", path, err)
	}
	return v, nil
}
