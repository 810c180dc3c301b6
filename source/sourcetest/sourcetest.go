// Package sourcetest helps to test sources. [Run] holds any [source.Source]
// against the rules of its interface; [Script] is a store in memory that tests
// of a source's users can direct. Import it from tests only.
//
//	func TestConformance(t *testing.T) {
//		sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
//			store := newStore(t) // yours, with a credential in it
//			return sourcetest.Harness{Source: store.Source(), Rotate: store.Rotate, Break: store.Break, Mend: store.Mend}
//		})
//	}
package sourcetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rekey-go/rekey/source"
)

// A Harness is one source with its hands on the store behind it. All functions
// run on the test's own goroutine.
type Harness struct {
	// Source to test. Its store holds a good credential, whose password is long
	// and odd enough not to be found in other text by chance.
	Source source.Source

	// Rotate puts a new credential, different from all earlier ones, into the
	// store and returns the user name and password that the source should
	// answer with from now on. If the source is a [source.Watcher], it must
	// notice this. Nil: the credential cannot change.
	Rotate func(t *testing.T) (want source.Credential)

	// Break makes the store stop answering sensibly. Leave the password in
	// what it answers, to see that no error repeats it. Nil: it cannot break.
	Break func(t *testing.T)

	// Mend undoes Break; the store holds what it held before.
	Mend func(t *testing.T)

	// Dynamic says that each answer is a new user. Rotate must be nil then.
	Dynamic bool

	// Wait bounds how long a rotation may take to be seen by the caller of
	// Watch and through caches. Zero means ten seconds.
	Wait time.Duration
}

// Run checks that the sources which open makes keep the rules of
// [source.Source] and, where they implement it, of [source.Watcher]. open is
// called once for each check and cleans up by t.Cleanup. Run it with the race
// detector on.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	t.Helper()
	checks := []struct {
		name  string
		check func(*testing.T, Harness)
	}{
		{"Answers", checkAnswers},
		{"Redacted", checkRedacted},
		{"Independent", checkIndependent},
		{"Canceled", checkCanceled},
		{"Concurrent", checkConcurrent},
		{"Rotate", checkRotate},
		{"Break", checkBreak},
		{"Watch", checkWatch},
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			h := open(t)
			if h.Wait == 0 {
				h.Wait = 10 * time.Second
			}
			c.check(t, h)
		})
	}
}

func checkAnswers(t *testing.T, h Harness) {
	first := get(t, h)
	if first.Password.IsEmpty() {
		t.Error("the password is empty")
	}
	for range 3 {
		if again := get(t, h); again.Same(first) == h.Dynamic {
			t.Errorf("another read answers %v after %v; dynamic is %t", again, first, h.Dynamic)
		}
	}
}

func checkRedacted(t *testing.T, h Harness) {
	c := get(t, h)
	password := c.Password.Reveal()
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatalf("the credential does not encode as JSON: %v", err)
	}
	for _, text := range []string{
		string(encoded),
		fmt.Sprintf("%v %+v %#v %s", c, c, c, c),
		fmt.Sprintf("%+v %#v", &c, []any{c.Password, struct{ c source.Credential }{c}}),
		c.Version, c.Reason,
	} {
		// The user name may contain the password's text only by accident.
		if strings.Contains(strings.ReplaceAll(text, c.Username, ""), password) {
			t.Error("the password shows when the credential is printed or encoded")
		}
	}
}

func checkIndependent(t *testing.T, h Harness) {
	if h.Dynamic {
		return
	}
	first := get(t, h)
	kept := first
	for _, name := range first.FieldNames() {
		changed := first.WithFields(map[string]source.Secret{name: source.NewSecret("changed")})
		if kept.Same(changed) {
			t.Errorf("WithFields has no effect on field %q", name)
		}
	}
	first.Username = "changed"
	if err := first.Password.UnmarshalText([]byte("changed")); err != nil {
		t.Fatal(err)
	}
	if again := get(t, h); !again.Same(kept) {
		t.Error("changing an answer changed what the source answers next")
	}
}

func checkCanceled(t *testing.T, h Harness) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	began := time.Now()
	_, err := h.Source.Credential(ctx)
	if took := time.Since(began); took > time.Second {
		t.Errorf("a canceled call took %v", took)
	}
	// A source that need not wait may answer all the same.
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled call fails with %v, want context.Canceled", err)
	}
	get(t, h) // it has not been spoiled for others
}

func checkConcurrent(t *testing.T, h Harness) {
	want := get(t, h)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				c, err := h.Source.Credential(context.Background())
				if err != nil {
					t.Errorf("a concurrent call fails: %v", err)
				} else if !h.Dynamic && !c.Same(want) {
					t.Errorf("a concurrent call answers %v, want %v", c, want)
				}
			}
		})
	}
	wg.Wait()
}

func checkRotate(t *testing.T, h Harness) {
	if h.Rotate == nil {
		return
	}
	for range 3 {
		before := get(t, h)
		want := h.Rotate(t)
		if want.Username == before.Username && want.Password.Equal(before.Password) {
			t.Fatal("the harness is wrong: Rotate returned the credential from before")
		}
		if c := get(t, h); !matches(c, want) {
			t.Errorf("past every cache the source still answers %v, want %v", c, want)
		}
		deadline := time.Now().Add(h.Wait)
		for {
			c, err := h.Source.Credential(context.Background())
			if err == nil && matches(c, want) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%v after the rotation the source answers %v and error %v, want %v", h.Wait, c, err, want)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

func checkBreak(t *testing.T, h Harness) {
	if h.Break == nil {
		return
	}
	before := get(t, h)
	h.Break(t)
	for range 3 {
		c, err := h.Source.Credential(source.BypassCache(context.Background()))
		if err == nil {
			t.Fatalf("the broken store still answers %v", c)
		}
		if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, before.Password.Reveal()) {
			t.Error("the error of a broken store repeats the password")
		}
	}
	h.Mend(t)
	if after := get(t, h); after.Same(before) == h.Dynamic {
		t.Errorf("after mending the source answers %v, before it was %v", after, before)
	}
}

func checkWatch(t *testing.T, h Harness) {
	w, ok := h.Source.(source.Watcher)
	if !ok || h.Rotate == nil {
		return
	}
	// calls takes what a watch reports without ever holding it up.
	calls := func() (chan struct{}, func()) {
		c := make(chan struct{}, 1)
		return c, func() {
			select {
			case c <- struct{}{}:
			default:
			}
		}
	}
	await := func(c chan struct{}, want source.Credential) {
		t.Helper()
		deadline := time.After(h.Wait)
		for {
			select {
			case <-c:
				if matches(get(t, h), want) {
					return
				}
			case <-deadline:
				t.Fatalf("no call within %v of the rotation", h.Wait)
			}
		}
	}

	var mu sync.Mutex
	stopped := false
	stopping, notify := calls()
	stop := w.Watch(func() {
		mu.Lock()
		defer mu.Unlock()
		if stopped {
			t.Error("a call after stop has returned")
		}
		notify()
	})
	await(stopping, h.Rotate(t))
	await(stopping, h.Rotate(t))

	stop()
	mu.Lock()
	stopped = true
	mu.Unlock()
	staying, notify := calls()
	stopOther := w.Watch(notify)
	stop() // twice is once
	// Another watch is the clock: when it has seen two more rotations, the
	// stopped one has had its chance to be called wrongly.
	await(staying, h.Rotate(t))
	await(staying, h.Rotate(t))
	stopOther()
	stopOther()
}

// get fetches past every cache and checks what holds for every answer.
func get(t *testing.T, h Harness) source.Credential {
	t.Helper()
	c, err := h.Source.Credential(source.BypassCache(context.Background()))
	if err != nil {
		t.Fatalf("Credential: %v", err)
	}
	if c.Issued.After(time.Now()) {
		t.Errorf("Issued is %v, in the future", c.Issued)
	}
	if !c.Expires.IsZero() && !c.Expires.After(c.Issued) {
		t.Errorf("Expires %v is not after Issued %v", c.Expires, c.Issued)
	}
	return c
}

func matches(c, want source.Credential) bool {
	return c.Username == want.Username && c.Password.Equal(want.Password)
}
