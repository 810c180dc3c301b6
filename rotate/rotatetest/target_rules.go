package rotatetest

import (
	"strings"
	"testing"
	"time"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// checkNext: the next user is named by strategy and token alone.
func checkNext(t *testing.T, s *subject) {
	current := s.Current.WithFields(map[string]source.Secret{"host": source.NewSecret("db")})
	names := make(map[string]bool)
	for range 8 {
		token := drawToken()
		one, err := s.Target.Next(t.Context(), current, token)
		s.ok(err)
		two, err := s.Other.Next(t.Context(), current, token)
		s.ok(err)
		host, _ := one.Field("host")
		switch {
		case one.Username == "" || one.Username != two.Username && !s.Draws:
			t.Fatalf("one rotation has two users, %q and %q", one.Username, two.Username)
		case (one.Username == current.Username) != (s.strategy.InPlace || s.strategy.Dual):
			t.Fatalf("user %q follows %q", one.Username, current.Username)
		case (one.Password.Reveal() == "") == s.Draws:
			t.Fatalf("the next credential should have a password: %v", s.Draws)
		case host.Reveal() != "db":
			t.Fatal("a field beside user name and password is lost")
		}
		names[two.Username] = true
	}
	if s.users() != (len(names) == 8) {
		t.Fatalf("8 rotations have %d users", len(names))
	}
	s.accepts(s.Current, true)
}

// checkRotations: each step, done once or more often, by whoever.
func checkRotations(t *testing.T, s *subject) {
	ctx, from := t.Context(), s.Current
	for range 3 {
		c := s.change(from)
		s.applied(c, false)
		s.accepts(c.To, false)

		s.ok(s.Target.Set(ctx, c))
		s.ok(s.Other.Set(ctx, c))
		s.ok(s.Target.Set(ctx, c))
		s.applied(c, true)
		s.applied(rotate.Change{Token: drawToken(), From: c.From, To: c.To}, false)
		s.accepts(c.To, true)
		s.accepts(c.From, !s.strategy.InPlace)
		s.ok(s.Target.Verify(ctx, c))
		s.ok(s.Other.Verify(ctx, c))
		s.applied(c, true)
		s.eventually("the sessions that verify has opened end", func() bool {
			n, err := s.Target.Sessions(ctx, c.To.Username)
			s.ok(err)
			return n == 0
		})
		switch {
		case s.strategy.Dual:
			s.discard(c)
		case s.strategy.Leaves:
			s.leave(c)
		}
		s.accepts(c.To, true)
		from = c.To
	}
}

// leave retires the user of c.From, with every step twice.
func (s *subject) leave(c rotate.Change) {
	s.t.Helper()
	ctx, user := s.t.Context(), c.From.Username
	s.left(c.From, c.To)
	s.left(c.To, source.Credential{}, user)
	s.disabled(user, false)
	s.ok(s.Target.Disable(ctx, user))
	first := s.disabled(user, true)
	s.ok(s.Other.Disable(ctx, user))
	if again := s.disabled(user, true); again < first {
		s.t.Fatalf("it was disabled %v ago, and a moment later %v", first, again)
	}
	s.accepts(c.From, false)
	s.left(c.To, source.Credential{}, user)
	s.ok(s.Target.Enable(ctx, user))
	s.ok(s.Other.Enable(ctx, user))
	s.disabled(user, false)
	s.accepts(c.From, true)
	s.fails(s.Target.Remove(ctx, user), rotate.ErrConflict) // not disabled
	s.accepts(c.From, true)
	s.ok(s.Target.Disable(ctx, user))
	s.ok(s.Target.Remove(ctx, user))
	s.ok(s.Other.Remove(ctx, user))
	s.ok(s.Target.Disable(ctx, user))
	s.fails(s.Target.Enable(ctx, user), rotate.ErrNothing)
	s.accepts(c.From, false)
	s.left(c.To, source.Credential{})
}

// disabled asks a target that remembers when it has disabled a user, whether it has.
func (s *subject) disabled(user string, is bool) (ago time.Duration) {
	s.t.Helper()
	d, ok := s.Other.(rotate.Disabler)
	if !ok {
		return 0
	}
	ago, err := d.Disabled(s.t.Context(), user)
	if !is {
		s.fails(err, rotate.ErrNothing)
		return 0
	}
	s.ok(err)
	if ago < 0 || ago > time.Hour {
		s.t.Fatalf("it was disabled %v ago", ago)
	}
	return ago
}

// discard retires the password of c.From, with every step twice.
func (s *subject) discard(c rotate.Change) {
	s.t.Helper()
	ctx, user := s.t.Context(), c.To.Username
	s.left(c.From, c.To)
	s.left(c.To, source.Credential{}, user)
	s.fails(s.discards(s.Target, c.From), rotate.ErrConflict) // not the last
	next := s.change(c.To)
	s.fails(s.Target.Set(ctx, next), rotate.ErrUnfit, rotate.ErrConflict) // a third password
	s.ok(s.Target.Undo(ctx, next))
	s.accepts(c.From, true)
	s.left(c.To, source.Credential{}, user)
	s.ok(s.discards(s.Target, c.To))
	s.ok(s.discards(s.Other, c.To))
	s.accepts(c.From, false)
	s.left(c.To, source.Credential{})
	s.ok(s.Target.Set(ctx, c))
	s.accepts(c.From, false) // as it was
	s.left(c.To, source.Credential{})
	s.refuses(user)
}

// discards has a handle of the target discard what is older than current.
func (s *subject) discards(target rotate.Target, current source.Credential) error {
	return target.(rotate.Discarder).Discard(s.t.Context(), rotate.State{Current: rotate.Version{Token: current.Version, Credential: current}})
}

// refuses checks that a user who is never retired is not.
func (s *subject) refuses(user string) {
	s.t.Helper()
	s.fails(s.Target.Disable(s.t.Context(), user))
	s.fails(s.Target.Enable(s.t.Context(), user))
	s.fails(s.Target.Remove(s.t.Context(), user))
}

// checkLeft: those left behind come oldest first, and users that no rotation has
// to do with are never touched.
func checkLeft(t *testing.T, s *subject) {
	if !s.users() {
		s.left(s.Current, source.Credential{})
		c := s.set(s.Current)
		s.left(s.Current, c.To)
		s.left(s.Current, source.Credential{}) // the store has lost the next one
		if !s.strategy.Dual {
			s.left(c.To, source.Credential{})
		}
		s.refuses(s.Current.Username)
		s.accepts(c.To, true)
		return
	}
	s.left(source.Credential{}, source.Credential{})
	s.fails(s.Target.Disable(t.Context(), s.Current.Username), rotate.ErrConflict)
	s.fails(s.Target.Remove(t.Context(), s.Current.Username), rotate.ErrConflict)
	s.accepts(s.Current, true)
	one := s.set(s.Current)
	two := s.set(one.To)
	three := s.set(two.To)
	s.left(three.To, source.Credential{}, s.Current.Username, one.To.Username, two.To.Username)
	s.left(two.To, three.To, s.Current.Username, one.To.Username)
	s.retire(one.To.Username)
	s.left(three.To, source.Credential{}, s.Current.Username, two.To.Username)
	s.accepts(s.Current, true)
}

// checkUndo: from every point there is a way back, and from there forth again.
func checkUndo(t *testing.T, open func(*testing.T) TargetHarness) {
	points := []struct {
		name    string
		advance func(*subject, rotate.Change)
	}{
		{"before set", func(*subject, rotate.Change) {}},
		{"after set", func(s *subject, c rotate.Change) { s.ok(s.Target.Set(s.t.Context(), c)) }},
		{"after verify", func(s *subject, c rotate.Change) {
			s.ok(s.Target.Set(s.t.Context(), c))
			s.ok(s.Target.Verify(s.t.Context(), c))
		}},
	}
	for _, p := range points {
		t.Run(p.name, func(t *testing.T) {
			s := prepare(t, open)
			from := s.Current
			for range 2 { // the second time in the wake of a rotation
				c := s.change(from)
				p.advance(s, c)
				s.ok(s.Target.Undo(t.Context(), c))
				s.ok(s.Other.Undo(t.Context(), c))
				s.applied(c, false)
				s.accepts(c.From, true)
				s.accepts(c.To, false)
				s.left(from, source.Credential{})
				c = s.set(from)
				s.ok(s.Target.Verify(t.Context(), c))
				s.finish(c)
				from = c.To
			}
		})
	}
}

// checkAgain: a set that comes after its undoing changes nothing for anybody.
func checkAgain(t *testing.T, s *subject) {
	ctx := t.Context()
	one := s.set(s.Current)
	s.ok(s.Target.Undo(ctx, one))
	two := s.change(s.Current)
	s.ok(s.Target.Undo(ctx, two)) // was never set
	for _, c := range []rotate.Change{one, two} {
		if err := s.Other.Set(ctx, c); err != nil {
			s.fails(err, rotate.ErrUnfit, rotate.ErrConflict)
		} else if !s.users() {
			t.Fatal("what was undone is set again")
		}
		s.accepts(s.Current, true)
	}
	three := s.set(s.Current)
	s.ok(s.Target.Verify(ctx, three))
	for _, c := range []rotate.Change{one, two} {
		_ = s.Other.Set(ctx, c) // may fail, but
		s.accepts(three.To, true)
		s.accepts(s.Current, !s.strategy.InPlace)
		_ = s.Other.Undo(ctx, c)
		s.accepts(three.To, true)
		s.accepts(s.Current, !s.strategy.InPlace)
	}
	s.left(s.Current, three.To)
}

// checkLate: a rotation that has been overtaken does no harm.
func checkLate(t *testing.T, s *subject) {
	ctx := t.Context()
	late := s.change(s.Current)
	one := s.set(s.Current)
	if s.strategy.Dual { // both began at a password that is still accepted
		s.fails(s.Other.Set(ctx, late), rotate.ErrConflict)
		s.fails(s.Other.Undo(ctx, late), rotate.ErrConflict)
		s.finish(one)
	}
	two := s.set(one.To)
	if s.users() {
		s.finish(one)
	}
	for _, step := range []struct {
		name string
		err  error
	}{
		{"set what was never set", s.Other.Set(ctx, late)},
		{"undo what was never set", s.Other.Undo(ctx, late)},
		{"set over another's user", s.Other.Set(ctx, rotate.Change{Token: late.Token, From: late.From, To: one.To})},
		{"undo what another has set", s.Other.Undo(ctx, rotate.Change{Token: late.Token, From: one.From, To: one.To})},
		{"undo what has succeeded", s.Other.Undo(ctx, one)},
	} {
		if step.err != nil && s.Draws {
			s.fails(step.err, rotate.ErrConflict, rotate.ErrUnfit) // what was drawn may be gone
		} else if step.err != nil {
			s.fails(step.err, rotate.ErrConflict)
		} else if !s.users() {
			t.Fatalf("%s: this should be a conflict", step.name)
		}
	}
	s.accepts(two.To, true)
	s.applied(two, true)
	s.ok(s.Target.Verify(ctx, two))
	if !s.strategy.InPlace && !s.users() {
		s.accepts(one.To, true)
	}
	s.accepts(late.To, false)
}

// checkByHand: an operator has been there, in the database alone or in the store
// as well.
func checkByHand(t *testing.T, s *subject) {
	one := s.set(s.Current)
	if s.strategy.Dual {
		s.finish(one)
	}
	s.Overwrite(t, one.To.Username, "by-hand-"+drawToken())
	s.accepts(one.To, false)
	two := s.set(one.To)
	s.ok(s.Target.Verify(t.Context(), two))

	if s.Draws {
		return // nobody tells it a password
	}
	told := two.To
	told.Password, told.Version = source.NewSecret("by-hand-"+drawToken()), "an operator's"
	s.Overwrite(t, told.Username, told.Password.Reveal())
	three := s.set(told)
	s.ok(s.Target.Verify(t.Context(), three))
	s.ok(s.Target.Undo(t.Context(), three))
	s.accepts(told, true)
}

// checkUnfit: what lacks something, or does not log in, is told from what cannot
// be found out.
func checkUnfit(t *testing.T, s *subject) {
	c := s.set(s.Current)
	wrong := c
	wrong.To.Password = source.NewSecret("canary-" + drawToken())
	s.secrets = append(s.secrets, wrong.To.Password.Reveal())
	s.fails(s.Target.Verify(t.Context(), wrong), rotate.ErrUnfit)
	s.ok(s.Target.Verify(t.Context(), c))
	s.Weaken(t, c.To.Username)
	s.fails(s.Target.Verify(t.Context(), c), rotate.ErrUnfit)
	s.accepts(c.To, true)
	s.ok(s.Target.Undo(t.Context(), c))
	s.accepts(s.Current, true)
	s.accepts(c.To, false)
}

// oddPasswords have what languages, URLs, logs and drivers stumble over.
var oddPasswords = []string{
	" !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~ ",
	`'; drop role postgres; --`, `\`, `'`, `''`, `\'`, `$$`, `$1`, `%s%v%!d`, `x host=evil`, `E'\x00'`, `<no value>`, "null",
	strings.Repeat("long", 250),
}

func checkOddPasswords(t *testing.T, s *subject) {
	if s.Draws {
		checkOtherPasswords(t, s)
		return
	}
	from := s.Current
	for _, password := range oddPasswords {
		if s.Longest > 0 {
			password = password[:min(len(password), s.Longest)]
		}
		c := s.change(from)
		c.To.Password = source.NewSecret(password)
		s.ok(s.Target.Set(t.Context(), c))
		s.ok(s.Target.Verify(t.Context(), c))
		shorter := c.To
		shorter.Password = source.NewSecret(password + "x")
		s.accepts(shorter, false)
		s.finish(c)
		from = c.To
	}
}

// checkOtherPasswords: what Next has not drawn is not fit, and does no harm.
func checkOtherPasswords(t *testing.T, s *subject) {
	for _, password := range oddPasswords {
		c := s.change(s.Current)
		c.To.Password = source.NewSecret(password)
		if err := s.Target.Set(t.Context(), c); err != nil {
			s.fails(err, rotate.ErrUnfit)
		}
		s.fails(s.Target.Verify(t.Context(), c), rotate.ErrUnfit)
		s.accepts(c.To, false)
		s.ok(s.Target.Undo(t.Context(), c))
		s.accepts(s.Current, true)
	}
	s.left(s.Current, source.Credential{})
}

// checkSeen: nobody sees a password.
func checkSeen(t *testing.T, s *subject) {
	one := s.set(s.Current)
	s.ok(s.Target.Verify(t.Context(), one))
	s.ok(s.Target.Undo(t.Context(), one))
	two := s.set(s.Current)
	s.finish(two)
	seen := s.Seen(t)
	if !strings.Contains(seen, two.To.Username) {
		t.Fatal("what is seen has nothing to do with the rotation")
	}
	for _, secret := range s.secrets {
		if strings.Contains(seen, secret) {
			t.Fatal("a password can be seen")
		}
	}
}
