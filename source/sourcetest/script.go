package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rekey-go/rekey/source"
)

// A Script is a store in memory for tests: it answers what it was last told
// to, with leases where asked, and records what it is asked. It implements
// [source.Source], [source.Watcher] and [source.CandidateSource].
//
// It starts no goroutines and takes time from package time only, so it runs in
// testing/synctest bubbles. All methods are safe for concurrent use. No lock is
// held while a call waits.
type Script struct {
	mu         sync.Mutex
	answer     source.Credential
	candidates []source.Credential
	err        error
	delay      time.Duration
	ttl        time.Duration
	dynamic    bool
	users      int // dynamic users created so far
	terms      leaseTerms

	calls    []call
	renewals int
	revoked  []string
	leases   []*lease
	maxLive  int
	watches  []*watch
}

type call struct {
	at       time.Time
	bypassed bool
}

// NewScript returns a Script that answers user "u" with password "p", at once
// and without an end, until it is told otherwise.
func NewScript() *Script {
	return &Script{answer: source.Credential{Username: "u", Password: source.NewSecret("p")}}
}

// Set makes the store hold cred from now on and ends what [Script.Fail] began.
func (s *Script) Set(cred source.Credential) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer, s.err = cred, nil
}

// Fail makes every fetch fail with err until [Script.Set] or [Script.Recover].
// Renewals have their own switch, [Script.FailRenew].
func (s *Script) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// Recover ends what [Script.Fail] began; the store holds what it held before.
func (s *Script) Recover() { s.Fail(nil) }

// Delay makes every fetch, renewal and revocation take d or until its context
// ends. A fetch answers with what the store held when it began.
func (s *Script) Delay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = d
}

// TTL gives each credential fetched from now on a lease of d: Issued is the
// start of the request, Expires is d later, and sessions end with it. Zero
// gives none.
func (s *Script) TTL(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ttl = d
}

// Dynamic says whether each fetch creates a new user, like Vault's creds
// endpoint does: u1 with password p1, then u2 with p2 and so on.
func (s *Script) Dynamic(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dynamic = on
}

// Offer sets what [Script.Candidates] answers.
func (s *Script) Offer(candidates ...source.Credential) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.candidates = slices.Clone(candidates)
}

// Credential answers as scripted.
func (s *Script) Credential(ctx context.Context) (source.Credential, error) {
	began := time.Now()
	s.mu.Lock()
	s.calls = append(s.calls, call{began, source.CacheBypassed(ctx)})
	cred, err, delay := s.answer, s.err, s.delay
	s.mu.Unlock()

	if waitErr := wait(ctx, delay); waitErr != nil {
		return source.Credential{}, waitErr
	}
	if err != nil {
		return source.Credential{}, err
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dynamic {
		s.users++
		cred.Username = fmt.Sprintf("u%d", s.users)
		cred.Password = source.NewSecret(fmt.Sprintf("p%d", s.users))
	}
	if s.ttl > 0 {
		cred = s.grant(cred, began)
	}
	return cred, nil
}

// Candidates answers with what was last given to [Script.Offer].
func (s *Script) Candidates(ctx context.Context) ([]source.Credential, error) {
	s.mu.Lock()
	candidates, delay := slices.Clone(s.candidates), s.delay
	s.mu.Unlock()
	return candidates, wait(ctx, delay)
}

// Calls returns how many fetches have begun.
func (s *Script) Calls() int { return len(s.CallTimes()) }

// CallTimes returns when each fetch began.
func (s *Script) CallTimes() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	times := make([]time.Time, len(s.calls))
	for i, c := range s.calls {
		times[i] = c.at
	}
	return times
}

// Bypassed returns, for each fetch, whether its context was marked by
// [source.BypassCache].
func (s *Script) Bypassed() []bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	marks := make([]bool, len(s.calls))
	for i, c := range s.calls {
		marks[i] = c.bypassed
	}
	return marks
}

// A watch is one caller of Watch. Its mutex is held while changed runs, so
// that stop can promise that changed runs no more.
type watch struct {
	mu      sync.Mutex
	changed func()
}

// Watch has changed called by each [Script.Changed]. stop must not be called
// from within changed.
func (s *Script) Watch(changed func()) (stop func()) {
	w := &watch{changed: changed}
	s.mu.Lock()
	s.watches = append(s.watches, w)
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		s.watches = slices.DeleteFunc(s.watches, func(other *watch) bool { return other == w })
		s.mu.Unlock()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.changed = nil
	}
}

// Changed tells everyone who watches that the store may hold something new.
func (s *Script) Changed() {
	s.mu.Lock()
	watches := slices.Clone(s.watches)
	s.mu.Unlock()
	for _, w := range watches {
		w.mu.Lock()
		if w.changed != nil {
			w.changed()
		}
		w.mu.Unlock()
	}
}

// Watchers returns how many watch the script now.
func (s *Script) Watchers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.watches)
}

// errNoLease is what a store says about a lease that has ended.
var errNoLease = source.Permanent(errors.New("sourcetest: lease not found"))

// wait takes d or until ctx ends, whichever is first.
func wait(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil || d <= 0 {
		return err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
