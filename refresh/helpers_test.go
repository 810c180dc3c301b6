package refresh_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errAway   = errors.New("the store is away")
	errDenied = source.Permanent(errors.New("the policy says no"))
)

// bubble runs f where time is fake and where goroutines that never end fail
// the test.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// advance lets d pass and everything that is due then happen.
func advance(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// quiet gives o a logger that says nothing, unless it has one.
func quiet(o *refresh.Options) *refresh.Options {
	if o == nil {
		o = &refresh.Options{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// start makes a refresher that is closed with the test.
func start(t *testing.T, src source.Source, o *refresh.Options) *refresh.Refresher {
	t.Helper()
	r, err := refresh.New(t.Context(), src, quiet(o))
	require.NoError(t, err)
	t.Cleanup(r.Close)
	synctest.Wait()
	return r
}

// script returns a store of plain credentials.
func script() *sourcetest.Script { return sourcetest.NewScript() }

// leases returns a store that makes a new user with a lease of ttl each time.
func leases(ttl time.Duration) *sourcetest.Script {
	s := sourcetest.NewScript()
	s.Dynamic(true)
	s.TTL(ttl)
	return s
}

// down makes the store fail in everything.
func down(s *sourcetest.Script) {
	s.Fail(errAway)
	s.FailRenew(errAway)
	s.FailRevoke(errAway)
}

func up(s *sourcetest.Script) {
	s.Recover()
	s.FailRenew(nil)
	s.FailRevoke(nil)
}

// cred returns a credential of user u with password p-u.
func cred(user string) source.Credential {
	return source.Credential{Username: user, Password: source.NewSecret("p-" + user), Version: "v-" + user}
}

// database is a consumer whose database accepts what it is told to.
type database struct {
	mu       sync.Mutex
	refuse   func(refresh.Snapshot) error
	delay    time.Duration
	verified []string // user names
	changes  int
}

func (d *database) Verify(ctx context.Context, s refresh.Snapshot) error {
	d.mu.Lock()
	d.verified = append(d.verified, s.Username)
	refuse, delay := d.refuse, d.delay
	d.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if refuse == nil {
		return nil
	}
	return refuse(s)
}

func (d *database) Changed() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changes++
}

// refuses sets what Verify answers to credentials of the users, all if none.
func (d *database) refuses(err error, users ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refuse = func(s refresh.Snapshot) error {
		for _, u := range users {
			if s.Username == u {
				return err
			}
		}
		if len(users) == 0 {
			return err
		}
		return nil
	}
}

func (d *database) accepts() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refuse = nil
}

func (d *database) takes(delay time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.delay = delay
}

func (d *database) asked() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.verified...)
}

func (d *database) changed() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changes
}

// rejection is what a database says to a wrong password.
func rejection(why string) error { return fmt.Errorf("%s: %w", why, refresh.ErrRejected) }

func attach(t *testing.T, r *refresh.Refresher, c refresh.Consumer) *refresh.Attachment {
	t.Helper()
	a, err := r.Attach(t.Context(), c)
	require.NoError(t, err)
	return a
}

func hold(t *testing.T, a *refresh.Attachment) *refresh.Hold {
	t.Helper()
	h, err := a.Hold(t.Context())
	require.NoError(t, err)
	return h
}

// later runs f on a goroutine of its own and returns where its error comes.
func later(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	synctest.Wait()
	return done
}

// pending reports whether nothing has come yet.
func pending(done <-chan error) bool {
	synctest.Wait()
	return len(done) == 0
}

// journal is a log that tests can read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}
