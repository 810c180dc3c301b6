package refresh_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

// tracer writes down the operations as they end, in one line each.
type tracer struct {
	mu    sync.Mutex
	open  int
	lines []string
}

type operationKey struct{}

func (t *tracer) trace(ctx context.Context, operation string, attrs ...slog.Attr) (context.Context, func(error)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open++
	began := time.Now()
	return context.WithValue(ctx, operationKey{}, operation), func(err error) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.open--
		line := operation
		for _, a := range attrs {
			line += " " + a.String()
		}
		if took := time.Since(began); took > 0 {
			line += fmt.Sprint(" ", took)
		}
		if err != nil {
			line += ": " + err.Error()
		}
		t.lines = append(t.lines, line)
	}
}

// take returns what has ended since the last call.
func (t *tracer) take() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := t.lines
	t.lines = nil
	return lines
}

// under is a store, its lease and a database which complain about calls that
// come without the context that a trace has returned.
type under struct {
	source.Source
	t *testing.T
}

func (u *under) operation(ctx context.Context, want string) {
	assert.Equal(u.t, want, ctx.Value(operationKey{}))
}

func (u *under) Credential(ctx context.Context) (source.Credential, error) {
	u.operation(ctx, "fetch")
	c, err := u.Source.Credential(ctx)
	if c.Lease != nil {
		c.Lease = underLease{u, c.Lease}
	}
	return c, err
}

func (u *under) Candidates(ctx context.Context) ([]source.Credential, error) {
	u.operation(ctx, "fetch")
	assert.True(u.t, source.CacheBypassed(ctx))
	return u.Source.(source.CandidateSource).Candidates(ctx)
}

type underLease struct {
	u     *under
	lease source.Lease
}

func (l underLease) Renew(ctx context.Context) (source.Credential, error) {
	l.u.operation(ctx, "renew")
	c, err := l.lease.Renew(ctx)
	c.Lease = l
	return c, err
}

func (l underLease) Revoke(ctx context.Context) error {
	l.u.operation(ctx, "revoke")
	return l.lease.Revoke(ctx)
}

type underDatabase struct {
	*database
	u *under
}

func (d underDatabase) Verify(ctx context.Context, s refresh.Snapshot) error {
	d.u.operation(ctx, "verify")
	return d.database.Verify(ctx, s)
}

func TestTrace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		u := &under{s, t}
		var tr tracer
		r, err := refresh.New(t.Context(), u, quiet(&refresh.Options{Name: "orders", Trace: tr.trace, LoginBudget: 1}))
		require.NoError(t, err)
		require.Equal(t, []string{"fetch credential=orders"}, tr.take())

		db := &database{}
		attach(t, r, underDatabase{db, u})
		version := func() string { return r.Current().Version }
		first := version()
		require.Equal(t, []string{"verify credential=orders generation=1 user=u1 version=" + first}, tr.take())

		// A store that is away: the fetch fails, the lease is renewed.
		s.Fail(errAway)
		advance(41 * time.Minute)
		lines := tr.take()
		require.Contains(t, lines, "fetch credential=orders: "+errAway.Error())
		require.Contains(t, lines, "renew credential=orders generation=1 user=u1 version="+first)

		// It comes back: the next credential takes the whole way.
		s.Recover()
		s.Delay(time.Second)
		require.NoError(t, r.Refresh(t.Context()))
		advance(2 * time.Second)
		require.Equal(t, []string{
			"fetch credential=orders 1s",
			"verify credential=orders generation=2 user=u2 version=" + version(),
			"revoke credential=orders user=u1 version=" + first + " 1s",
		}, last(tr.take(), 3))
		s.Delay(0)

		// The database refuses the next: its error is told, and the revocation.
		db.refuses(rejection("28P01"))
		require.Error(t, r.Refresh(t.Context()))
		synctest.Wait()
		lines = last(tr.take(), 3)
		require.Equal(t, "fetch credential=orders", lines[0])
		require.Regexp(t, `^verify credential=orders generation=3 user=u3 version=\S+: 28P01: credential rejected$`, lines[1])
		require.Regexp(t, `^revoke credential=orders user=u3 version=\S+$`, lines[2])
		db.accepts()

		// What shutdown revokes is told too, each try of it.
		s.FailRevoke(errAway)
		require.ErrorIs(t, r.Shutdown(t.Context()), errAway)
		s.FailRevoke(nil)
		require.NoError(t, r.Shutdown(t.Context()))
		require.Equal(t, []string{
			"revoke credential=orders user=u2 version=" + version() + ": " + errAway.Error(),
			"revoke credential=orders user=u2 version=" + version(),
		}, last(tr.take(), 2))
		assert.Zero(t, tr.open, "every operation that began has ended")
	})
}

func TestTraceOfCandidates(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		s.Set(cred("current"))
		s.Offer(cred("current"), cred("pending"))
		u := &under{s, t}
		var tr tracer
		r := start(t, u, &refresh.Options{Trace: tr.trace, Poll: -1})
		db := &database{}
		attach(t, r, underDatabase{db, u})
		db.refuses(rejection("28P01"), "current")
		tr.take()
		r.Invalidate(1)
		advance(10 * time.Second)
		require.Equal(t, []string{
			"fetch credential=credential",
			"fetch credential=credential",
			"verify credential=credential generation=2 user=pending version=v-pending",
		}, tr.take())
	})
}

func TestTraceOfWhatTheSourceGetsWrong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		var tr tracer
		r := start(t, s, &refresh.Options{Trace: tr.trace, PreferRenew: true, MaxBackoff: time.Minute})
		s.EmptyRenew(true)
		advance(41 * time.Minute)
		lines := tr.take()
		require.Condition(t, func() bool {
			for _, line := range lines {
				if strings.HasPrefix(line, "renew ") {
					return strings.HasSuffix(line, "the store's answer to the renewal names no new end")
				}
			}
			return false
		}, "an answer that is of no use is an error: %v", lines)
		s.Set(source.Credential{})
		s.Dynamic(false)
		s.TTL(0)
		require.Error(t, r.Refresh(t.Context()))
		require.Contains(t, last(tr.take(), 1)[0], "empty credential")
	})
}

func TestTraceSaysNoSecret(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const canary = "cAnArY-5eCrEt"
		s := script()
		c := cred("app")
		c.Password = source.NewSecret(canary)
		s.Set(c.WithFields(map[string]source.Secret{"api_key": source.NewSecret(canary)}))
		var tr tracer
		r := start(t, s, &refresh.Options{Trace: tr.trace, LoginBudget: 1})
		db := &database{}
		attach(t, r, db)
		db.refuses(errors.New("no answer"))
		c.Version = "next"
		s.Set(c)
		require.Error(t, r.Refresh(t.Context()))
		text := strings.Join(tr.take(), "\n")
		require.Contains(t, text, "no answer")
		require.NotContains(t, text, canary)
	})
}

func TestNilTrace(t *testing.T) {
	ctx, ended := refresh.Trace(nil).Start(t.Context(), "rollover")
	ended(nil)
	require.Equal(t, t.Context(), ctx)
}

func last(lines []string, n int) []string { return lines[max(0, len(lines)-n):] }
