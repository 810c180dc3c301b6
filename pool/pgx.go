package pool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

// A ManagedPool is a [pgxpool.Pool] whose connections log in with a credential
// that changes underneath. Make one with [Open] or [New] and use it as the
// pool it embeds, for as long as the process lives: the embedded pool is never
// replaced. Its methods are safe for concurrent use.
//
// Config returns a configuration without a credential, so a connection beside
// the pool cannot be made of it: acquire one and hijack it, or connect with the
// Config of an acquired connection. The pool's own acquires during a rollover
// appear in its Stat and to an AcquireTracer, as those of its health check do.
type ManagedPool struct {
	*pgxpool.Pool

	keeper    *keeper
	config    *pgxpool.Config    // as the user gave it
	failedRow reflect.Type       // of pgxpool
	owned     *refresh.Refresher // by Open
}

// Open makes a pool for the server of connString, logging in with the
// credentials of src, and keeps them fresh with a refresher of its own. User
// and password in connString are not used, except for the user where the
// source names none; pool_max_conns and the other parameters of
// [pgxpool.ParseConfig] apply. It returns once the first credential has logged
// in; ctx governs this start only. A server that is away or rejects the
// credential ([refresh.ErrRejected]) fails the start at once, so that whoever
// starts the service decides about trying again.
func Open(ctx context.Context, connString string, src source.Source, opts *Options) (*ManagedPool, error) {
	config, err := pgxpool.ParseConfig(connString)
	if err != nil {
		return nil, parseError(err)
	}
	var ro refresh.Options
	if opts != nil {
		if opts.Refresh != nil {
			ro = *opts.Refresh
		}
		ro.Logger = cmp.Or(ro.Logger, opts.Logger)
		if ro.Trace == nil {
			ro.Trace = opts.Trace
		}
	}
	r, err := refresh.New(ctx, src, &ro)
	if err != nil {
		return nil, err
	}
	p, err := New(ctx, config, r, opts)
	if err != nil {
		r.Close()
		return nil, err
	}
	p.owned = r
	return p, nil
}

// New makes a pool with the given configuration, logging in with r's
// credential. Several pools may share one refresher; close them before it. All
// hooks set in config keep working; config itself is not changed. New returns
// once the current credential has logged in; ctx governs this start only.
func New(ctx context.Context, config *pgxpool.Config, r *refresh.Refresher, opts *Options) (*ManagedPool, error) {
	if config == nil || config.ConnConfig == nil || r == nil {
		return nil, errors.New("pool: New needs a configuration made by pgxpool.ParseConfig and a refresher")
	}
	o := opts.withDefaults()
	config = config.Copy()
	k := newKeeper(r, o)
	k.turnaway.size = int(config.MaxConns)
	k.classify = o.Classify
	if k.classify == nil {
		k.classify = ClassifyPostgres
	}
	v := &pgxVerifier{&k.opts, configFor(config.ConnConfig, config.BeforeConnect), config.AfterConnect, config.BeforeClose}
	k.verifier, k.lostRights = v.verify, v.lostRights
	k.prober = func(ctx context.Context, conn any) error { return probePgx(ctx, conn.(*pgx.Conn)) }
	p := &ManagedPool{keeper: k, config: config}

	if err := k.attach(ctx); err != nil {
		k.cancel()
		return nil, err
	}
	var err error
	if p.failedRow, err = failedRowType(config); err == nil {
		p.Pool, err = pgxpool.NewWithConfig(ctx, p.hooked())
	}
	if err != nil {
		k.detach()
		return nil, err
	}
	k.keep(p)
	return p, nil
}

// hooked returns the configuration with the keeper's hooks around the user's.
func (p *ManagedPool) hooked() *pgxpool.Config {
	k, config := p.keeper, p.config
	hooked := config.Copy()
	hooked.ConnConfig.Password = ""

	hooked.BeforeConnect = func(ctx context.Context, cc *pgx.ConnConfig) error {
		if ofProbe(ctx) {
			return errNoneIdle
		}
		if name := k.refresher.Current().Username; name != "" {
			cc.User = name
		}
		if config.BeforeConnect != nil {
			if err := config.BeforeConnect(ctx, cc); err != nil {
				return err
			}
		}
		k.install(cc, true, k.claim)
		signalBegun(ctx)
		return nil
	}

	prepare := config.PrepareConn
	if prepare == nil && config.BeforeAcquire != nil {
		prepare = func(ctx context.Context, conn *pgx.Conn) (bool, error) {
			return config.BeforeAcquire(ctx, conn), nil
		}
	}
	hooked.PrepareConn = func(ctx context.Context, conn *pgx.Conn) (bool, error) {
		if k.attention.Load() {
			if k.ofExchange(ctx) {
				return true, nil // it looks for itself
			}
			l := sessionOf(conn)
			if l != nil && !l.well() && (!k.lend(l) || l.due.Load() && !k.ask(ctx, l, conn)) {
				return false, nil
			}
		}
		if prepare == nil {
			return true, nil
		}
		return prepare(ctx, conn)
	}

	if release := config.AfterRelease; release != nil {
		hooked.AfterRelease = func(conn *pgx.Conn) bool {
			if l := sessionOf(conn); l != nil && l.passing.Swap(false) {
				return true // back from an exchange, nobody has used it
			}
			return release(conn)
		}
	}

	shouldPing := config.ShouldPing
	if shouldPing == nil {
		shouldPing = func(_ context.Context, params pgxpool.ShouldPingParams) bool {
			return params.IdleDuration > time.Second
		}
	}
	hooked.ShouldPing = func(ctx context.Context, params pgxpool.ShouldPingParams) bool {
		if params.IdleDuration < longIdle && !k.attention.Load() {
			return shouldPing(ctx, params)
		}
		if k.ofExchange(ctx) {
			return false
		}
		ping := shouldPing(ctx, params)
		return k.look(sessionOf(params.Conn), params.IdleDuration) || ping
	}
	return hooked
}

// longIdle is how long a connection must have been idle for the clocks to be
// asked when it is lent. Timers may not have fired while the machine slept.
const longIdle = 100 * time.Millisecond

// look examines a connection that has been idle for long, or any during a
// rollover, and reports whether it must be pinged in any case: pools count its
// idle time from when an exchange gave it back.
func (k *keeper) look(l *Login, idle time.Duration) (ping bool) {
	if l == nil {
		return false
	}
	if idle >= longIdle && (l.due.Load() || l.over()) {
		k.lookOut() // PrepareConn comes next and turns it away, or has it probed
		return false
	}
	return l.touched.Load() && l.touched.Swap(false)
}

// claim is the login of a pooled connection.
func (k *keeper) claim(ctx context.Context) (*Login, error) {
	h, err := k.hold(ctx)
	if err != nil {
		return nil, err
	}
	return k.begin(h), nil
}

// Refresher returns the refresher that the pool logs in with, to look at its
// health, to refresh at once, or to share it.
func (p *ManagedPool) Refresher() *refresh.Refresher { return p.keeper.refresher }

// Drained blocks until another version is current in this pool's refresher and
// no socket of this pool that logged in with the given one is open, or until
// ctx ends. It counts sockets, hijacked ones included.
func (p *ManagedPool) Drained(ctx context.Context, version string) error {
	return p.keeper.drained(ctx, version)
}

// Close closes the pool like [pgxpool.Pool.Close], waiting for lent
// connections without a limit. A refresher made by [Open] is closed with it.
func (p *ManagedPool) Close() {
	_ = p.keeper.stop(context.Background())
	p.Pool.Close()
	if p.owned != nil {
		p.owned.Close()
	}
}

// Shutdown is [ManagedPool.Close] bounded by ctx. Its error says how many
// connections were still lent and which leases could not be revoked. It keeps
// the last quarter of its time for revoking. The pool goes on closing by itself
// as the lent connections come back.
func (p *ManagedPool) Shutdown(ctx context.Context) error {
	patience, cancel := context.WithCancel(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		patience, cancel = context.WithDeadline(ctx, deadline.Add(-time.Until(deadline)/4))
	}
	defer cancel()
	err := p.keeper.stop(patience)
	closed := make(chan struct{})
	go func() { // ends when the last lent connection is back
		p.Pool.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-patience.Done():
		err = fmt.Errorf("pool: %d connections are still lent: %w", p.Stat().AcquiredConns(), patience.Err())
	}
	if p.owned != nil {
		err = errors.Join(err, p.owned.Shutdown(ctx))
	}
	return err
}
