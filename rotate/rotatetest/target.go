package rotatetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// A TargetHarness is a target with users of its own. All functions run on the
// test's own goroutine.
type TargetHarness struct {
	// Target changes the users, with no more rights than its documentation asks
	// for.
	Target rotate.Target

	// Other is a second handle on the same users, as another process has it.
	Other rotate.Target

	// Current is accepted. No rotation has touched it yet. Its password is long
	// enough not to be found in other text by chance.
	Current source.Credential

	// Longest is how many bytes a password may have. Zero: 1000 are not too many.
	Longest int

	// Draws: Next returns the password, as nobody else can draw it.
	Draws bool

	// Overwrite gives a user another password, by the means of an operator who
	// does not know of rotations. If Target draws, it is enough that the user's own
	// is not accepted any more.
	Overwrite func(t *testing.T, user, password string)

	// Weaken takes something away from a user that the application needs and
	// Verify looks at.
	Weaken func(t *testing.T, user string)

	// Fail breaks the nth request, counted from 1, that Target makes from now on
	// to change or read what the users are: the server does not get it or, if
	// lost, nobody gets the answer. hit reports whether the request has come.
	Fail func(t *testing.T, n int, lost bool) (hit func() bool)

	// Down makes all that Target asks for fail, until up is called.
	Down func(t *testing.T) (up func())

	// Seen returns all that others can see of what Target has done: logs,
	// statistics, lists of what runs.
	Seen func(t *testing.T) string
}

// Target checks that the targets which open makes keep the rules of
// [rotate.Target]. open is called for each check, some call it more than once,
// and cleans up by t.Cleanup.
func Target(t *testing.T, open func(t *testing.T) TargetHarness) {
	t.Helper()
	checks := []struct {
		name  string
		check func(*testing.T, func(*testing.T) TargetHarness)
	}{
		{"Next", single(checkNext)},
		{"Rotations", single(checkRotations)},
		{"Left", single(checkLeft)},
		{"Undo", checkUndo},
		{"Again", single(checkAgain)},
		{"Late", single(checkLate)},
		{"ByHand", single(checkByHand)},
		{"Unfit", single(checkUnfit)},
		{"OddPasswords", single(checkOddPasswords)},
		{"Seen", single(checkSeen)},
		{"Down", single(checkDown)},
		{"Canceled", single(checkCanceledCalls)},
		{"Broken", checkBrokenCalls},
		{"RaceOfOne", single(checkRaceOfOne)},
		{"RaceOfTwo", single(checkRaceOfTwo)},
		{"RaceToUndo", single(checkRaceToUndo)},
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) { c.check(t, open) })
	}
}

// single makes a check of one target.
func single(check func(*testing.T, *subject)) func(*testing.T, func(*testing.T) TargetHarness) {
	return func(t *testing.T, open func(*testing.T) TargetHarness) { check(t, prepare(t, open)) }
}

// A subject is a target under test and what it was given to set.
type subject struct {
	TargetHarness
	t        *testing.T
	strategy rotate.Strategy
	secrets  []string
}

func prepare(t *testing.T, open func(*testing.T) TargetHarness) *subject {
	t.Helper()
	h := open(t)
	s := &subject{TargetHarness: h, t: t, strategy: h.Target.Strategy()}
	s.hide(h.Current.Password)
	s.accepts(h.Current, true)
	return s
}

// change begins a rotation that follows from.
func (s *subject) change(from source.Credential) rotate.Change {
	s.t.Helper()
	token := drawToken()
	to, err := s.Target.Next(s.t.Context(), from, token)
	s.ok(err)
	switch drawn := to.Password.Reveal() != ""; {
	case drawn != s.Draws:
		s.t.Fatalf("Next draws a password: %v, should be %v", drawn, s.Draws)
	case !drawn:
		to.Password = source.NewSecret("canary-" + rand.Text())
	}
	s.hide(to.Password)
	to.Version = token
	return rotate.Change{Token: token, From: from, To: to}
}

// hide has errors and what is seen searched for a password: for each of its lines
// that is not there by chance.
func (s *subject) hide(password source.Secret) {
	for line := range strings.Lines(password.Reveal()) {
		if line = strings.TrimSpace(line); len(line) >= 20 {
			s.secrets = append(s.secrets, line)
		}
	}
}

func drawToken() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// set begins a rotation that follows from, and sets it.
func (s *subject) set(from source.Credential) rotate.Change {
	s.t.Helper()
	c := s.change(from)
	s.ok(s.Target.Set(s.t.Context(), c))
	return c
}

// users reports whether each rotation has a user of its own.
func (s *subject) users() bool { return s.strategy.Leaves && !s.strategy.Dual }

// finish retires what a rotation leaves behind.
func (s *subject) finish(c rotate.Change) {
	s.t.Helper()
	switch {
	case s.strategy.Dual:
		s.ok(s.discards(s.Target, c.To))
	case s.strategy.Leaves:
		s.retire(c.From.Username)
	}
}

// retire retires a user that is left behind.
func (s *subject) retire(user string) {
	s.t.Helper()
	s.ok(s.Target.Disable(s.t.Context(), user))
	s.ok(s.Target.Remove(s.t.Context(), user))
}

func (s *subject) ok(err error) {
	s.t.Helper()
	if err != nil {
		s.discreet(err)
		s.t.Fatalf("it fails: %v", err)
	}
}

// fails checks that an error wraps one of wanted, or, if none is named, that it
// speaks neither of a conflict nor against the credential.
func (s *subject) fails(err error, wanted ...error) {
	s.t.Helper()
	if err == nil {
		s.t.Fatal("it should fail")
	}
	s.discreet(err)
	if len(wanted) == 0 {
		if errors.Is(err, rotate.ErrConflict) || errors.Is(err, rotate.ErrUnfit) {
			s.t.Fatalf("nothing is known of the credential, and the error says %v", err)
		}
		return
	}
	if !slices.ContainsFunc(wanted, func(w error) bool { return errors.Is(err, w) }) {
		s.t.Fatalf("the error should wrap one of %q, it is %v", wanted, err)
	}
}

// discreet looks for passwords in an error.
func (s *subject) discreet(err error) {
	s.t.Helper()
	var text strings.Builder
	walk(err, func(e error) { fmt.Fprintf(&text, "%v %+v %#v\n", e, e, e) })
	for _, secret := range s.secrets {
		if strings.Contains(text.String(), secret) {
			s.t.Fatal("an error shows a password")
		}
	}
}

// walk visits an error and all that it wraps.
func walk(err error, visit func(error)) {
	if err == nil {
		return
	}
	visit(err)
	switch e := err.(type) { //nolint:errorlint // this is what unwraps
	case interface{ Unwrap() error }:
		walk(e.Unwrap(), visit)
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			walk(inner, visit)
		}
	}
}

func (s *subject) accepts(c source.Credential, want bool) {
	s.t.Helper()
	got, err := s.Target.Accepts(s.t.Context(), c)
	s.ok(err)
	if got != want {
		s.t.Fatalf("user %q is accepted: %v, should be %v", c.Username, got, want)
	}
}

// applied asks both handles.
func (s *subject) applied(c rotate.Change, want bool) {
	s.t.Helper()
	for _, target := range []rotate.Target{s.Target, s.Other} {
		got, err := target.Applied(s.t.Context(), c)
		s.ok(err)
		if got != want {
			s.t.Fatalf("the rotation is applied: %v, should be %v", got, want)
		}
	}
}

// left checks who is left behind when current and, if it has a user, pending
// are in use.
func (s *subject) left(current, pending source.Credential, want ...string) {
	s.t.Helper()
	state := rotate.State{Current: rotate.Version{Token: current.Version, Credential: current}}
	if pending.Username != "" {
		state.Pending = &rotate.Version{Token: pending.Version, Credential: pending}
	}
	got, err := s.Target.Left(s.t.Context(), state)
	s.ok(err)
	if !slices.Equal(got, want) {
		s.t.Fatalf("left behind are %q, should be %q", got, want)
	}
}

// looks writes down how a change stands.
func (s *subject) looks(c rotate.Change) string {
	s.t.Helper()
	applied, err := s.Other.Applied(s.t.Context(), c)
	s.ok(err)
	to, err := s.Other.Accepts(s.t.Context(), c.To)
	s.ok(err)
	from, err := s.Other.Accepts(s.t.Context(), c.From)
	s.ok(err)
	left, err := s.Other.Left(s.t.Context(), rotate.State{Current: rotate.Version{Token: c.Token, Credential: c.To}})
	s.ok(err)
	if s.strategy.Dual && (!from || !to) {
		left = nil // there are no two passwords; they may be named until they are discarded once more
	}
	return fmt.Sprintf("applied %v, the next accepted %v, the current %v, left %q", applied, to, from, left)
}

// eventually waits for what others do in their own time, such as a session that
// ends.
func (s *subject) eventually(what string, is func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.t.Fatal("in vain: " + what)
		}
	}
}
