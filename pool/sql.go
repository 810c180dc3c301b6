package pool

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"

	"github.com/rekey-go/rekey/refresh"
)

// A Dialer makes connections of one database/sql driver. [Postgres] is the one
// for pgx; packages below this one bring others. Its methods are safe for concurrent
// use. The interface stays as it is within a major version: what else a dialer may be
// able to do comes as one of its own, like [Prober] and [RightsComparer]. Package
// dialertest has the suite that holds a dialer against this.
type Dialer interface {
	// Dial logs in once with the credential of l. The driver's connection must
	// call l.Check in ResetSession, l.Valid in IsValid, l.Denied when a
	// statement fails for lack of rights, and l.Closed when its socket is
	// closed; the way to its socket it gives to l.OnOverstay. Two connections
	// must be comparable, as pointers are. When Dial fails, its caller does the
	// rest, which Classify decides.
	Dial(ctx context.Context, l *Login) (driver.Conn, error)

	// Verify logs in once with the credential of s, proves that it is fit and
	// closes the connection. Errors follow [refresh.Consumer]; those that
	// Classify recognizes need no mark.
	Verify(ctx context.Context, s refresh.Snapshot, opts *Options) error

	// Classify tells which errors of Dial are rejections of the credential.
	Classify(err error) Verdict

	// Driver returns the underlying driver.
	Driver() driver.Driver
}

// A Prober is a [Dialer] that can tell whether the user of an open session still
// exists: databases let the sessions of a dropped user live on, without rights.
type Prober interface {
	// Probe asks on a connection that Dial has made and that nobody else uses
	// meanwhile. It returns an error that wraps [ErrDisowned] if the user is
	// gone, and any other error if the connection is broken.
	Probe(ctx context.Context, conn driver.Conn) error
}

// A RightsComparer is a [Dialer] that can compare what two users may do.
type RightsComparer interface {
	// LostRights logs in with both credentials and returns what the user of
	// from may do in the database and that of to may not, one right a line for
	// people, without any secret. None lost: an empty slice.
	LostRights(ctx context.Context, from, to refresh.Snapshot) ([]string, error)
}

// A ManagedDB is a [sql.DB] whose connections log in with a credential that
// changes underneath. Make one with [OpenDB] and use it as the DB it embeds,
// for as long as the process lives. Its methods are safe for concurrent use.
type ManagedDB struct {
	*sql.DB

	keeper *keeper
	dials  *sync.WaitGroup
}

// OpenDB makes a DB whose connections are made by dialer with r's credential.
// Several pools may share one refresher; close them before it. It returns once
// the current credential has logged in; ctx governs this start only.
func OpenDB(ctx context.Context, dialer Dialer, r *refresh.Refresher, opts *Options) (*ManagedDB, error) {
	if dialer == nil || r == nil {
		return nil, errors.New("pool: OpenDB needs a dialer and a refresher")
	}
	k := newKeeper(r, opts.withDefaults())
	k.classify = k.opts.Classify
	if k.classify == nil {
		k.classify = dialer.Classify
	}
	k.verifier = func(ctx context.Context, s refresh.Snapshot) error {
		return k.marked(dialer.Verify(ctx, s, &k.opts))
	}
	if p, ok := dialer.(Prober); ok {
		k.prober = func(ctx context.Context, conn any) error { return p.Probe(ctx, conn.(driver.Conn)) }
	}
	if c, ok := dialer.(RightsComparer); ok {
		k.lostRights = func(ctx context.Context, from, to refresh.Snapshot) ([]string, error) {
			lost, err := c.LostRights(ctx, from, to)
			return lost, k.marked(err)
		}
	}
	if err := k.attach(ctx); err != nil {
		k.cancel()
		return nil, err
	}
	c := &connector{k: k, dialer: dialer}
	db := &ManagedDB{DB: sql.OpenDB(c), keeper: k, dials: &c.dials}
	k.keep(db)
	return db, nil
}

// marked marks the errors of a dialer that are rejections.
func (k *keeper) marked(err error) error {
	if err != nil && k.classify(err) == Rejected && !errors.Is(err, refresh.ErrRejected) {
		return fmt.Errorf("login: %w (%w)", err, refresh.ErrRejected)
	}
	return err
}

// Refresher returns the refresher that the DB logs in with.
func (db *ManagedDB) Refresher() *refresh.Refresher { return db.keeper.refresher }

// Drained is [ManagedPool.Drained].
func (db *ManagedDB) Drained(ctx context.Context, version string) error {
	return db.keeper.drained(ctx, version)
}

// Close closes the DB like [sql.DB.Close]: idle connections now, lent ones as
// they come back.
func (db *ManagedDB) Close() error {
	_ = db.keeper.stop(context.Background())
	err := db.DB.Close()
	db.dials.Wait()
	return err
}

// Shutdown closes the DB and waits until every connection is closed or ctx
// ends. Its error says how many connections were still lent.
func (db *ManagedDB) Shutdown(ctx context.Context) error {
	stopped := db.keeper.stop(ctx)
	closed := make(chan error, 1)
	go func() { closed <- db.Close() }() // ends when the last login has been given up
	select {
	case err := <-closed:
		if err != nil {
			return err
		}
	case <-ctx.Done():
		return errors.Join(stopped, fmt.Errorf("pool: logins are still under way: %w", ctx.Err()))
	}
	if err := db.keeper.empty(ctx); err != nil {
		return fmt.Errorf("pool: %d connections are still lent: %w", db.Stats().InUse, err)
	}
	return nil
}

// A connector hands each login a generation and repeats it when that was
// rejected and another one is to be had.
type connector struct {
	k      *keeper
	dialer Dialer
	dials  sync.WaitGroup
}

func (c *connector) Driver() driver.Driver { return c.dialer.Driver() }

// errNoneIdle ends a search for idle connections.
var errNoneIdle = errors.New("pool: no connection is idle")

type dialed struct {
	conn driver.Conn
	err  error
}

// Connect implements [driver.Connector]. A login that has been sent goes on
// when the caller leaves, so that a rejection is always seen.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if begun, ok := ctx.Value(exchangeKey{}).(chan struct{}); ok && begun == nil || ofProbe(ctx) {
		return nil, errNoneIdle
	}
	result := make(chan dialed)
	ok := c.start(func() {
		// Ends with the pool or by the time-outs of hold, another and Dial.
		dialCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		defer context.AfterFunc(c.k.ctx, cancel)()
		conn, err := c.login(dialCtx)
		select {
		case result <- dialed{conn, err}:
		case <-ctx.Done():
			if err == nil {
				_ = conn.Close()
			}
		}
	})
	if !ok {
		return nil, refresh.ErrClosed
	}
	select {
	case d := <-result:
		return d.conn, d.err
	case <-ctx.Done():
		return nil, c.k.explain(ctx.Err())
	}
}

// start runs a dial, unless the pool is closed, and has Close wait for it.
func (c *connector) start(dial func()) bool {
	c.k.mu.Lock()
	defer c.k.mu.Unlock()
	if c.k.ctx.Err() != nil {
		return false
	}
	c.dials.Go(dial)
	return true
}

func (c *connector) login(ctx context.Context) (driver.Conn, error) {
	signalBegun(ctx)
	for n := 1; ; n++ {
		l, err := c.k.claim(ctx)
		if err != nil {
			return nil, err
		}
		conn, err := c.dialer.Dial(ctx, l)
		if err == nil {
			l.conn = conn
			l.Opened()
			return conn, nil
		}
		verdict := c.k.classify(err)
		if verdict == Rejected {
			l.Rejected() // before the next one may try the same credential
		}
		l.Closed()
		if verdict == Unrelated || n == mostLogins {
			return nil, err
		}
		if anotherErr := c.k.another(ctx, l, verdict); anotherErr != nil {
			return nil, fmt.Errorf("%w; %w", err, anotherErr)
		}
	}
}
