package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/rekey-go/rekey/source"
)

// ErrClosed is returned by sources whose [Session] has been closed.
var ErrClosed = errors.New("vault: the session is closed")

// LoginOptions adjust a [Session]. The zero value, or nil, means the defaults,
// and so do negative values.
type LoginOptions struct {
	// ParentAccessor is the accessor of the token that the session's own token
	// is a child of. Vault ends a child with its parent, and does not tell the
	// child who that is. Empty: the token has no parent, which is so for those
	// that come from a login, or its end is not known.
	ParentAccessor string

	// KeepToken leaves the token alive at Close. Otherwise one that the session
	// has got by logging in is revoked then, and every lease with it.
	KeepToken bool

	// Poll is how often a [TokenFile], or a client whose own token is used, is
	// looked at for another token. Zero: 5 s.
	Poll time.Duration

	// Timeout bounds one login, renewal or lookup. It also bounds how long
	// [Login] waits for the first token. Zero: 30 s.
	Timeout time.Duration

	// Logger receives what happens, without any secret. Nil: [slog.Default].
	Logger *slog.Logger
}

func (o *LoginOptions) withDefaults() LoginOptions {
	var d LoginOptions
	if o != nil {
		d = *o
	}
	d.Poll = cmp.Or(max(d.Poll, 0), 5*time.Second)
	d.Timeout = cmp.Or(max(d.Timeout, 0), 30*time.Second)
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	return d
}

// A Session keeps one Vault token alive for all the sources that are given it.
// Its methods are safe for concurrent use.
type Session struct {
	client *api.Client    // our own, without a token
	auth   api.AuthMethod // nil: the token is lent
	lender lender         // nil: the token is the session's own
	opts   LoginOptions

	token atomic.Pointer[token] // obtained last, even if it has ended

	mu       sync.Mutex // guards what follows; never held over I/O
	lost     bool       // Vault does not accept the token
	closed   bool
	changed  chan struct{} // closed and replaced after every attempt
	attempts int           // to renew or log in, since start
	failures int           // of them in a row
	lastErr  error         // of the last one; nil: it succeeded
	next     time.Time     // no attempt before, unless the token is doubted
	question *question     // asked, not yet answered
	asked    time.Time     // when a question was put last
	answered time.Time     // when Vault last accepted the token
	logins   int
	renewals int
	watches  map[*watch]struct{}
	settled  bool // after the end: nothing is left to revoke

	wake    chan struct{} // one slot
	ctx     context.Context
	cancel  context.CancelFunc
	workers sync.WaitGroup // the loop and the announcements
	shut    sync.Once
	stopped chan struct{} // closed when the workers have ended
}

// A question is whether Vault still accepts a token.
type question struct {
	token *token
	done  chan struct{}
}

// Login logs in to Vault by auth and keeps the token alive until Close: it is
// renewed, and when that is not possible any more, or when Vault does not
// accept it any more, replaced by a new login. Pass the session to sources by
// [Options]. With a nil auth the token is the client's own, from VAULT_TOKEN or
// SetToken, which is renewed but can only be replaced by its user.
//
// Login returns when there is a token, or with an error that a repetition
// cannot mend, or when ctx or [LoginOptions.Timeout] ends. ctx governs the
// start only. The client is copied and not changed; auth is called with a copy
// that has no token, by one goroutine at a time, and must return when its
// context ends.
func Login(ctx context.Context, client *api.Client, auth api.AuthMethod, opts *LoginOptions) (*Session, error) {
	if client == nil {
		return nil, errors.New("vault: the client is nil")
	}
	own, err := ownClient(client)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	s := &Session{
		client: own, auth: auth, opts: opts.withDefaults(),
		changed: make(chan struct{}), wake: make(chan struct{}, 1), watches: make(map[*watch]struct{}), stopped: make(chan struct{}),
	}
	switch file, isFile := auth.(*tokenFile); {
	case isFile:
		s.lender = file
	case auth == nil:
		s.lender = clientToken{client}
	default:
		s.auth = auth
	}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.start(ctx); err != nil {
		s.cancel()
		return nil, err
	}
	s.workers.Go(s.run)
	return s, nil
}

// start gets the first token.
func (s *Session) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	var last error // says more than that the time was over
	for n := 1; ; n++ {
		err := s.logIn(ctx)
		switch {
		case err == nil || source.IsPermanent(err):
			return err
		case ctx.Err() != nil && last != nil:
			return fmt.Errorf("%w (%w)", last, ctx.Err())
		case ctx.Err() != nil:
			return err
		}
		last = err
		s.opts.Logger.Warn("rekey: first login to Vault failed", "error", err, "attempt", n)
		select {
		case <-ctx.Done():
		case <-time.After(backoff(n, time.Hour)):
		}
	}
}

// now returns the token obtained last.
func (s *Session) now() *token { return s.token.Load() }

// use returns a token that is good as far as is known. While there is none it
// waits for the next attempt to get one, and fails with that.
func (s *Session) use(ctx context.Context) (*token, error) {
	begun := -1
	for {
		now := time.Now()
		s.mu.Lock()
		t, changed := s.token.Load(), s.changed
		if begun < 0 {
			begun = s.attempts
		}
		good := !s.lost && !t.over(now)
		failed := s.lastErr != nil && (s.attempts > begun || now.Before(s.next))
		err := s.lastErr
		closed := s.closed
		s.mu.Unlock()
		switch {
		case closed:
			return nil, source.Permanent(ErrClosed)
		case good:
			return t, nil
		case failed:
			return nil, fmt.Errorf("vault: there is no valid token: %w", err)
		}
		s.poke()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// doubt has Vault asked whether it still accepts t, which it has refused
// something with err. A token that replaces t is returned; nil: t is good.
func (s *Session) doubt(ctx context.Context, t *token, err error) (*token, error) {
	q := s.suspect(t, err)
	if q != nil {
		select {
		case <-q.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	renewed, err := s.use(ctx)
	if err != nil || t.same(renewed) {
		return nil, err
	}
	return renewed, nil
}

// settledFor is how long an answer about a token is taken to hold.
const settledFor = time.Second

// suspect asks whether t is still accepted, without waiting for the answer; nil
// if that is known, or was asked just now and err says nothing of the token.
func (s *Session) suspect(t *token, err error) *question {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.lost || !t.same(s.token.Load()) || time.Since(s.answered) < settledFor {
		return nil
	}
	if !dead(err) && time.Since(s.asked) < settledFor {
		return nil
	}
	if s.question == nil {
		s.question = &question{token: t, done: make(chan struct{})}
		s.poke()
	}
	return s.question
}

func (s *Session) poke() {
	select {
	case s.wake <- struct{}{}:
	default: // it has been woken already
	}
}

// SessionHealth is how a session stands at one moment. It holds no secret.
type SessionHealth struct {
	Valid     bool      `json:"valid"`                // there is a token that is good as far as is known
	Expires   time.Time `json:"expires,omitzero"`     // the token's end as it stands; zero: none is known
	Reason    string    `json:"reason,omitempty"`     // which bound set Expires
	Logins    int       `json:"logins"`               // since start, the first one included
	Renewals  int       `json:"renewals"`             // since start
	Failures  int       `json:"failures"`             // attempts that failed in a row
	LastError string    `json:"last_error,omitempty"` // of the last attempt; empty: it succeeded
}

// Health returns how the session stands. It asks nobody.
func (s *Session) Health() SessionHealth {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.token.Load()
	h := SessionHealth{
		Valid:  !s.closed && !s.lost && !t.over(time.Now()),
		Logins: s.logins, Renewals: s.renewals, Failures: s.failures,
	}
	h.Expires, h.Reason = t.bound(time.Time{}, "")
	if s.lastErr != nil {
		h.LastError = s.lastErr.Error()
	}
	return h
}
