package pool_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

// A landlord is a store whose leases are real roles: revoking one drops it.
type landlord struct {
	b  *bench
	mu sync.Mutex

	life    time.Duration // of the next lease
	held    chan struct{} // not nil: fetches wait until it is closed
	fail    error         // of fetches
	revoked []string
	early   []string // revoked while the pool still had sockets of it
	pool    pool.Reporter
}

func (s *landlord) Credential(ctx context.Context) (source.Credential, error) {
	s.mu.Lock()
	held, fail := s.held, s.fail
	s.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return source.Credential{}, ctx.Err()
		}
	}
	if fail != nil {
		return source.Credential{}, fail
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b.n++
	user := s.b.Role("lease" + string(rune('a'+s.b.n)))
	s.b.CreateUser(user, s.b.password())
	c := source.Credential{Username: user, Password: source.NewSecret(s.b.password()), EndsSessions: true, Issued: time.Now(), Reason: "lease"}
	c.Expires = c.Issued.Add(s.life)
	c.Lease = &tenancy{s, c, uint64(s.b.n)}
	return c, nil
}

type tenancy struct {
	s          *landlord
	c          source.Credential
	generation uint64 // every one is adopted
}

func (l *tenancy) Renew(context.Context) (source.Credential, error) {
	c := l.c
	c.Issued = time.Now()
	c.Expires = c.Issued.Add(l.s.life)
	c.Lease = l
	return c, nil
}

func (l *tenancy) Revoke(context.Context) error {
	s := l.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.revoked, l.c.Username) {
		return nil
	}
	if s.pool != nil && s.pool.Health().Connections[l.generation] > 0 {
		s.early = append(s.early, l.c.Username)
	}
	s.b.DropUser(l.c.Username)
	s.revoked = append(s.revoked, l.c.Username)
	return nil
}

func (s *landlord) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *landlord) gone() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.revoked)
}

func (s *landlord) open(conns string, o *refresh.Options) *pool.ManagedPool {
	s.b.t.Helper()
	o.Logger = logger(s.b.t)
	p, err := pool.Open(s.b.t.Context(), s.b.DSN+"&pool_max_conns="+conns, s, &pool.Options{Logger: o.Logger, Refresh: o, Canary: time.Millisecond})
	require.NoError(s.b.t, err)
	s.b.t.Cleanup(p.Close)
	return p
}

func TestF28LeaseIsRevokedAfterTheLastOldConnection(t *testing.T) {
	b := newBench(t)
	s := &landlord{b: b, life: time.Hour}
	p := s.open("4", &refresh.Options{})
	s.set(func() { s.pool = p })
	fill(t, p, 4)
	old := p.Health()
	tx, err := p.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }() // where the test fails before it commits
	require.NoError(t, p.Refresher().Refresh(t.Context()))
	eventually(t, func() bool { h := p.Health(); return h.Generation == 2 && h.Connections[1] == 1 }, "all others have left")
	_, err = tx.Exec(t.Context(), "insert into orders(item) values ('held')")
	require.NoError(t, err)
	require.Empty(t, s.gone())
	require.Equal(t, 2, p.Health().LiveLeases)
	require.NoError(t, tx.Commit(t.Context()))
	eventually(t, func() bool { return slices.Equal(s.gone(), []string{old.Username}) }, "revoked when nobody holds it")
	require.Empty(t, s.early, "no session was left")
	calm(t, p)

	current := p.Health().Username
	require.NoError(t, p.Shutdown(within(t, patience)))
	require.Equal(t, []string{old.Username, current}, s.gone(), "shutdown revokes the rest")
	require.Empty(t, s.early)
}

func TestG2ConnectionsAreNotLentPastTheirDeadline(t *testing.T) {
	b := newBench(t)
	s := &landlord{b: b, life: 2 * time.Second}
	p := s.open("4", &refresh.Options{Margin: -1})
	s.set(func() { s.life, s.held = time.Hour, make(chan struct{}) }) // the store is busy
	fill(t, p, 4)
	h := p.Health()
	held, err := p.Acquire(t.Context())
	require.NoError(t, err)
	defer held.Release()
	eventually(t, func() bool { return p.Health().State == refresh.Expired }, "it ends")
	eventually(t, func() bool { return p.Health().Connections[1] == 1 }, "idle connections leave by themselves")
	require.Equal(t, 1, p.Health().Overstaying)

	// There is none to be had now, and the error says why.
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err = selectOne(short, p)
	require.ErrorIs(t, err, refresh.ErrExpired)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	close(s.held)
	var user string
	require.NoError(t, p.QueryRow(t.Context(), "select session_user").Scan(&user))
	require.NotEqual(t, h.Username, user)
	held.Release()
	calm(t, p)
	require.Zero(t, p.Health().Overstaying)
}

func TestG2AtDatabaseSQL(t *testing.T) {
	b := newBench(t)
	s := &landlord{b: b, life: 2 * time.Second}
	r, err := refresh.New(t.Context(), s, &refresh.Options{Margin: -1, Logger: logger(t)})
	require.NoError(t, err)
	defer r.Close()
	s.set(func() { s.life, s.held = time.Hour, make(chan struct{}) })
	db, err := pool.OpenDB(t.Context(), pool.Postgres(b.connConfig()), r, &pool.Options{Logger: logger(t)})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	require.NoError(t, db.PingContext(t.Context()))
	require.Equal(t, 1, sockets(db))
	eventually(t, func() bool { return db.Health().State == refresh.Expired && sockets(db) == 0 }, "its connection leaves by itself")
	close(s.held)
	require.NoError(t, db.PingContext(t.Context()))
	calm(t, db)
}

func TestRenewalMovesTheDeadlineOfOpenConnections(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := &landlord{b: b, life: 2 * time.Second}
	p := s.open("2", &refresh.Options{Margin: -1, MinBackoff: 50 * time.Millisecond, MaxBackoff: 50 * time.Millisecond})
	fill(t, p, 2)
	first := p.Health()
	s.set(func() { s.fail = errors.New("the store is away") })
	eventually(t, func() bool { return time.Now().After(first.Expires) }, "its first end has passed")
	h := p.Health()
	require.Equal(t, first.Generation, h.Generation)
	require.NotZero(t, h.Renewals)
	require.Equal(t, refresh.Degraded, h.State)
	require.Equal(t, map[uint64]int{first.Generation: 2}, h.Connections)
	require.EqualValues(t, 2, h.Logins, "no connection was replaced")
	require.NoError(t, selectOne(t.Context(), p))
	require.False(t, p.Attention())
}

// Tokens used as passwords end for logins only.
func TestConnectionsStayWhereOnlyLoginsEnd(t *testing.T) {
	b := newBench(t)
	held := make(chan struct{})
	fetched := false
	src := source.Func(func(ctx context.Context) (source.Credential, error) {
		c := source.Credential{Username: b.user, Password: source.NewSecret(b.password()), Expires: time.Now().Add(time.Second)}
		if fetched {
			select {
			case <-held:
				c.Expires = time.Now().Add(time.Hour)
			case <-ctx.Done():
				return c, ctx.Err()
			}
		}
		fetched = true
		return c, nil
	})
	p, err := pool.Open(t.Context(), b.DSN+"&pool_max_conns=2", src, &pool.Options{Logger: logger(t), Refresh: &refresh.Options{Margin: -1, Logger: logger(t)}})
	require.NoError(t, err)
	defer p.Close()
	fill(t, p, 1)
	eventually(t, func() bool { return p.Refresher().Health().State == refresh.Expired }, "it ends")
	require.Equal(t, refresh.Degraded, p.Health().State, "what is open still serves")
	require.NoError(t, selectOne(t.Context(), p))
	require.EqualValues(t, 1, p.Health().Logins)
	require.Zero(t, p.Health().Overstaying)
	require.False(t, p.Attention())
	close(held)
	eventually(t, func() bool { return p.Health().State == refresh.Fresh }, "a longer life")
	require.Equal(t, uint64(1), p.Health().Generation)
}
