package rotatetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rekey-go/rekey/rotate"
)

// patience bounds the waits of the suite.
const patience = time.Minute

// prompt is how soon after its context a call returns.
const prompt = 50 * time.Millisecond

// checkBroken breaks each operation at each of its writes, before it happens and
// after. What is there then is as it was or as it should be. Whoever does it
// again, it comes to the same; and if it is done, nobody has to.
func checkBroken(t *testing.T, open func(*testing.T) StoreHarness) {
	for _, op := range operations {
		for _, how := range []struct {
			name        string
			lost, again bool
		}{{"cut", false, true}, {"lost", true, true}, {"lost and let be", true, false}} {
			for n := 1; ; n++ {
				broken := false
				done := t.Run(fmt.Sprintf("%s/%s/%d", op.name, how.name, n), func(t *testing.T) {
					broken = breakOnce(keep(t, open(t)), op, n, how.lost, how.again)
				})
				if done && !broken && n == 1 {
					t.Fatalf("%s has no write to break", op.name)
				}
				if !done || !broken {
					break
				}
			}
		}
	}
}

// breakOnce reports whether there was an nth write to break.
func breakOnce(k *keeper, op operation, n int, lost, again bool) (broken bool) {
	t := k.t
	call, before, after := op.prepare(k)
	hit := k.Fail(t, n, lost)
	err := call(t.Context(), k.Store)
	broken = hit()
	k.discreet(err)
	s, readErr := k.Other.Read(t.Context())
	k.ok(readErr)
	got := show(s)
	switch {
	case err == nil && got != show(after):
		t.Fatalf("it is said to be done, the store holds\n%s\ninstead of\n%s", got, show(after))
	case err != nil && !broken:
		t.Fatalf("it fails without a fault: %v", err)
	case err != nil && got != show(before) && got != show(after):
		t.Fatalf("the store is left with\n%s\nwhich is neither before nor after", got)
	}
	if again || got != show(after) {
		k.ok(call(t.Context(), k.Other))
		k.ok(call(t.Context(), k.Store))
	}
	s = k.read()
	if got := show(s); got != show(after) {
		t.Fatalf("after another try the store holds\n%s\ninstead of\n%s", got, show(after))
	}
	k.goOn(s)
	return broken
}

// goOn finishes what is pending, goes back, and rotates once more.
func (k *keeper) goOn(s rotate.State) {
	k.t.Helper()
	if s.Pending != nil {
		k.ok(k.Other.Promote(k.t.Context(), s.Pending.Token, s.Current.Token))
		k.holds(*s.Pending, none, s.Current)
		s = k.read()
	}
	if s.Previous != nil {
		k.ok(k.Other.Restore(k.t.Context(), s.Previous.Token, s.Current.Token))
		k.holds(*s.Previous, none, s.Current)
		s = k.read()
	}
	k.holds(k.promoted(s.Current), none, s.Current)
}

func checkCanceled(t *testing.T, open func(*testing.T) StoreHarness) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			k := keep(t, open(t))
			call, before, after := op.prepare(k)
			begun := time.Now()
			err := call(gone, k.Store)
			if took := time.Since(begun); took > prompt {
				t.Errorf("it takes %v to notice that the context has ended", took)
			}
			k.discreet(err)
			if err == nil {
				t.Error("it works with a context that has ended")
			}
			if got := show(k.read()); got != show(before) {
				t.Fatalf("the store holds\n%s\ninstead of\n%s", got, show(before))
			}
			k.ok(call(t.Context(), k.Store))
			if got := show(k.read()); got != show(after) {
				t.Fatalf("the store holds\n%s\ninstead of\n%s", got, show(after))
			}
		})
		h := open(t)
		if h.Hang == nil {
			continue
		}
		t.Run(op.name+" while it hangs", func(t *testing.T) {
			k := keep(t, h)
			call, before, _ := op.prepare(k)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			entered := h.Hang(t)
			ended := make(chan error, 1)
			go func() { ended <- call(ctx, k.Store) }()
			select {
			case <-entered:
			case <-time.After(patience):
				t.Fatal("the store is not asked")
			}
			cancel()
			begun := time.Now()
			err := <-ended
			if took := time.Since(begun); took > prompt {
				t.Errorf("it returns %v after its context", took)
			}
			k.discreet(err)
			if err == nil {
				t.Error("it works without an answer")
			}
			s, err := k.Other.Read(t.Context())
			k.ok(err)
			if got := show(s); got != show(before) {
				t.Fatalf("the store holds\n%s\ninstead of\n%s", got, show(before))
			}
		})
	}
}

// checkRaceToCreate has two processes create at once: one of them does.
func checkRaceToCreate(t *testing.T, open func(*testing.T) StoreHarness) {
	for range 5 {
		k := keep(t, open(t))
		versions := []rotate.Version{k.version(), k.version()}
		errs := make([]error, 2)
		var both sync.WaitGroup
		for i, s := range []rotate.Store{k.Store, k.Other} {
			both.Go(func() { errs[i] = s.Create(t.Context(), versions[i].Token, versions[i].Credential) })
		}
		both.Wait()
		k.onlyConflicts(errs)
		switch {
		case errs[0] == nil && errs[1] != nil:
			k.holds(k.first, versions[0], none)
		case errs[0] != nil && errs[1] == nil:
			k.holds(k.first, versions[1], none)
		case errs[0] == nil:
			t.Fatal("both are told that they have created the one pending version")
		default: // each has seen the other, and neither has gone on
			k.holds(k.first, none, none)
		}
	}
}

// checkRace has two processes rotate as fast as they can, and two others read.
func checkRace(t *testing.T, k *keeper) {
	const rounds = 12
	drawn := ledger{}
	drawn.add(k.first)
	var versions [2][]rotate.Version
	for i := range versions {
		for range rounds {
			v := k.version()
			drawn.add(v)
			versions[i] = append(versions[i], v)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var mu sync.Mutex
	var errs []error
	failed := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		errs = append(errs, err)
	}
	var rotators, readers sync.WaitGroup
	for i, s := range []rotate.Store{k.Store, k.Other} {
		rotators.Go(func() {
			for _, v := range versions[i] {
				failed(s.Create(ctx, v.Token, v.Credential))
				st, err := s.Read(ctx)
				if err != nil {
					failed(err)
					return
				}
				if p := st.Pending; p != nil { // whoever has created it
					failed(s.Promote(ctx, p.Token, st.Current.Token))
				}
			}
		})
	}
	over := make(chan struct{})
	seen := make([][]string, 2)
	for i, s := range []rotate.Store{k.Store, k.Other} {
		readers.Go(func() {
			for {
				st, err := s.Read(ctx)
				if err != nil {
					failed(err)
					return
				}
				for _, v := range []*rotate.Version{&st.Current, st.Pending, st.Previous} {
					if v != nil && !drawn.knows(*v) {
						failed(fmt.Errorf("a version is read that was never written: %s", show(st)))
						return
					}
				}
				if n := len(seen[i]); n == 0 || seen[i][n-1] != st.Current.Token {
					seen[i] = append(seen[i], st.Current.Token)
				}
				select {
				case <-over:
					return
				default:
				}
			}
		})
	}
	rotators.Wait()
	close(over)
	readers.Wait()
	k.onlyConflicts(errs)
	for _, tokens := range seen {
		once := map[string]bool{}
		for _, token := range tokens {
			if once[token] {
				t.Fatalf("%s is current twice: %q", token, tokens)
			}
			once[token] = true
		}
	}
	if k.read().Current.Token == k.first.Token {
		t.Fatalf("nothing was promoted in %d rounds", rounds)
	}
}
