package rotatetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// checkDown: what cannot be reached says nothing about a credential.
func checkDown(t *testing.T, s *subject) {
	ctx, c := t.Context(), s.change(s.Current)
	calls := func() []error {
		_, applied := s.Target.Applied(ctx, c)
		_, accepts := s.Target.Accepts(ctx, s.Current)
		_, sessions := s.Target.Sessions(ctx, c.To.Username)
		errs := []error{s.Target.Set(ctx, c), s.Target.Undo(ctx, c), s.Target.Verify(ctx, c), applied, accepts, sessions}
		if s.strategy.Dual {
			_, left := s.Target.Left(ctx, rotate.State{Current: rotate.Version{Credential: s.Current}})
			errs = append(errs, left, s.discards(s.Target, s.Current))
		}
		if s.users() {
			_, left := s.Target.Left(ctx, rotate.State{})
			errs = append(errs, left, s.Target.Disable(ctx, s.Current.Username), s.Target.Enable(ctx, s.Current.Username), s.Target.Remove(ctx, s.Current.Username))
		}
		return errs
	}
	up := s.Down(t)
	for _, err := range calls() {
		s.fails(err)
	}
	up()
	s.applied(c, false)
	s.accepts(s.Current, true)
	s.ok(s.Target.Set(ctx, c))
	s.ok(s.Target.Verify(ctx, c))
}

// checkCanceledCalls: a call that is given up before it begins does nothing.
func checkCanceledCalls(t *testing.T, s *subject) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	c := s.change(s.Current)
	begun := time.Now()
	s.fails(s.Target.Set(gone, c), context.Canceled)
	_, err := s.Target.Accepts(gone, s.Current)
	s.fails(err, context.Canceled)
	_, err = s.Target.Applied(gone, c)
	s.fails(err, context.Canceled)
	s.fails(s.Target.Verify(gone, c), context.Canceled)
	s.fails(s.Target.Undo(gone, c), context.Canceled)
	if took := time.Since(begun); took > time.Second {
		t.Fatalf("five calls that nobody waits for have taken %v", took)
	}
	s.applied(c, false)
	s.accepts(s.Current, true)
}

// A call changes what a target knows of a change. Its preparation takes the
// change to where the call belongs.
type call struct {
	name    string
	only    func(*subject) bool // the targets that have it; nil: all
	prepare func(*subject, rotate.Change)
	do      func(context.Context, rotate.Target, rotate.Change) error
}

var calls = []call{
	{
		"set", nil, func(*subject, rotate.Change) {},
		func(ctx context.Context, t rotate.Target, c rotate.Change) error { return t.Set(ctx, c) },
	},
	{
		"undo", nil, func(s *subject, c rotate.Change) { s.ok(s.Other.Set(s.t.Context(), c)) },
		func(ctx context.Context, t rotate.Target, c rotate.Change) error { return t.Undo(ctx, c) },
	},
	{
		"disable", (*subject).users, func(s *subject, c rotate.Change) { s.ok(s.Other.Set(s.t.Context(), c)) },
		func(ctx context.Context, t rotate.Target, c rotate.Change) error {
			return t.Disable(ctx, c.From.Username)
		},
	},
	{
		"remove", (*subject).users, func(s *subject, c rotate.Change) {
			s.ok(s.Other.Set(s.t.Context(), c))
			s.ok(s.Other.Disable(s.t.Context(), c.From.Username))
		},
		func(ctx context.Context, t rotate.Target, c rotate.Change) error {
			return t.Remove(ctx, c.From.Username)
		},
	},
	{
		"discard",
		func(s *subject) bool { return s.strategy.Dual },
		func(s *subject, c rotate.Change) { s.ok(s.Other.Set(s.t.Context(), c)) },
		func(ctx context.Context, t rotate.Target, c rotate.Change) error {
			return t.(rotate.Discarder).Discard(ctx, rotate.State{Current: rotate.Version{Token: c.Token, Credential: c.To}})
		},
	},
}

// checkBrokenCalls breaks each call at each of its requests, before the server
// gets it and after. What is there then is as it was or as it should be, and
// whoever does it again, it comes to the same.
func checkBrokenCalls(t *testing.T, open func(*testing.T) TargetHarness) {
	reference := prepare(t, open)
	for _, op := range calls {
		if op.only != nil && !op.only(reference) {
			continue
		}
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/lost=%v", op.name, lost), func(t *testing.T) {
				s, n := prepare(t, open), 1
				from := s.Current
				for ; ; n++ {
					c, hit := s.breakCall(op, from, n, lost)
					if !hit {
						break
					}
					if op.name != "undo" {
						from = c.To
					}
					if op.name == "set" && s.strategy.Dual {
						s.finish(c)
					}
				}
				if n == 1 {
					t.Fatal("it asks for nothing")
				}
			})
		}
	}
}

func (s *subject) breakCall(op call, from source.Credential, n int, lost bool) (c rotate.Change, hit bool) {
	s.t.Helper()
	c = s.change(from)
	op.prepare(s, c)
	before := s.looks(c)
	broken := s.Fail(s.t, n, lost)
	err := op.do(s.t.Context(), s.Target, c)
	hit = broken()
	if err != nil {
		if !hit {
			s.t.Fatalf("it fails without a fault: %v", err)
		}
		s.fails(err)
	}
	between := s.looks(c)
	s.ok(op.do(s.t.Context(), s.Other, c))
	after := s.looks(c)
	s.ok(op.do(s.t.Context(), s.Target, c))
	where := fmt.Sprintf("request %d breaks", n)
	switch again := s.looks(c); {
	case after == before:
		s.t.Fatalf("%s: it changes nothing: %s", where, after)
	case after != again:
		s.t.Fatalf("%s: done again, %s becomes %s", where, after, again)
	case err == nil && between != after:
		s.t.Fatalf("%s: it is said to be done, and %s; it should be %s", where, between, after)
	case between != before && between != after:
		s.t.Fatalf("%s: %s; before it was %s, after it should be %s", where, between, before, after)
	}
	s.t.Logf("%s: %v", where, err)
	return c, hit
}

// both runs two calls a few times each, all at once.
func (s *subject) both(one, two func(context.Context, rotate.Target) error) (errs [2][]error) {
	var group sync.WaitGroup
	var mu sync.Mutex
	start := make(chan struct{})
	for i, f := range []func(context.Context, rotate.Target) error{one, two} {
		for _, target := range []rotate.Target{s.Target, s.Other} {
			group.Go(func() {
				<-start
				err := f(s.t.Context(), target)
				mu.Lock()
				defer mu.Unlock()
				errs[i] = append(errs[i], err)
			})
		}
	}
	close(start)
	group.Wait()
	return errs
}

func settingOf(c rotate.Change) func(context.Context, rotate.Target) error {
	return func(ctx context.Context, t rotate.Target) error { return t.Set(ctx, c) }
}

// checkRaceOfOne: several processes resume one rotation.
func checkRaceOfOne(_ *testing.T, s *subject) {
	from := s.Current
	for range 5 {
		c := s.change(from)
		for _, errs := range s.both(settingOf(c), settingOf(c)) {
			for _, err := range errs {
				s.ok(err)
			}
		}
		s.applied(c, true)
		s.accepts(c.To, true)
		s.accepts(c.From, !s.strategy.InPlace)
		if s.strategy.Dual {
			s.finish(c)
		}
		from = c.To
	}
}

// checkRaceOfTwo: two rotations begin at one version, which a store does not
// let happen.
func checkRaceOfTwo(t *testing.T, s *subject) {
	from := s.Current
	for range 5 {
		one, two := s.change(from), s.change(from)
		errs := s.both(settingOf(one), settingOf(two))
		won := [2]bool{}
		for i, c := range []rotate.Change{one, two} {
			for _, err := range errs[i] {
				if err != nil {
					s.fails(err, rotate.ErrConflict, rotate.ErrUnfit)
				}
			}
			var err error
			won[i], err = s.Target.Applied(t.Context(), c)
			s.ok(err)
			s.accepts(c.To, won[i])
		}
		switch {
		case s.users() && won != [2]bool{!s.Draws || won[0], true}: // the second may have been drawn over the first
			t.Fatal("each of them should have a user of its own")
		case !s.users() && won[0] == won[1]:
			t.Fatalf("one of them should have won: %v", won)
		}
		s.accepts(from, !s.strategy.InPlace)
		winner := one
		if won[1] {
			winner = two
		}
		if s.strategy.Dual {
			s.finish(winner)
		}
		from = winner.To
	}
}

// checkRaceToUndo: one process sets what another undoes.
func checkRaceToUndo(t *testing.T, s *subject) {
	for range 5 {
		c := s.change(s.Current)
		errs := s.both(settingOf(c), func(ctx context.Context, t rotate.Target) error { return t.Undo(ctx, c) })
		for _, err := range errs[0] {
			if err != nil {
				s.fails(err, rotate.ErrUnfit, rotate.ErrConflict)
			}
		}
		for _, err := range errs[1] {
			s.ok(err)
		}
		applied, err := s.Target.Applied(t.Context(), c)
		s.ok(err)
		if applied && !s.users() {
			t.Fatal("it was undone, and is set")
		}
		s.accepts(c.To, applied)
		s.accepts(s.Current, true)
		s.ok(s.Target.Undo(t.Context(), c))
		s.accepts(c.To, false)
	}
	s.left(s.Current, source.Credential{})
}
