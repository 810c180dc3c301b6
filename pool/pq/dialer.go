// Package pq lets pools of package pool log in to PostgreSQL through
// github.com/lib/pq. New code is better served by [pool.Postgres], which is
// over pgx.
//
//	config, err := driver.NewConfig("postgres://db.internal/shop?sslmode=verify-full") // of lib/pq
//	r, err := refresh.New(ctx, src, nil)
//	db, err := pool.OpenDB(ctx, pq.New(config), r, nil) // a *sql.DB for life
package pq

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/lib/pq"

	"github.com/rekey-go/rekey/internal/wrapconn"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

// A Dialer is the [pool.Dialer] for lib/pq. Make one with [New]; its hooks may
// be set before it is used.
//
// [database/sql.Conn.Raw] sees a connection that has what the driver's has; its
// method Raw() driver.Conn returns the driver's own, which functions of lib/pq
// such as [pq.SetNoticeHandler] ask for. That one keeps the password for life:
// do not print it.
type Dialer struct {
	config pq.Config

	// BeforeConnect is run before each login with a copy of the configuration,
	// which it may change. The user name is set, the password is not. Nil: none.
	BeforeConnect func(ctx context.Context, config *pq.Config) error

	// DialContext opens the sockets. Nil: a [net.Dialer] does.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)

	// Check is run on a connection of its own with each new credential, after
	// the login and before anybody gets the credential. An error that is not
	// about the network or the state of the server rejects the credential and
	// the old one stays. Nil: a login is enough.
	Check func(ctx context.Context, conn *sql.Conn) error
}

// longestLogin bounds a login as a whole, where config.ConnectTimeout does not.
const longestLogin = 2 * time.Minute

// New returns a dialer for the server of config, as [pq.NewConfig] makes it,
// which is copied. Its password is not used, nor its user where the source
// names one, and no password is ever looked up in a password file.
func New(config pq.Config) *Dialer {
	d := &Dialer{config: config.Clone()}
	d.config.Password = ""
	return d
}

// Driver returns lib/pq's driver.
func (d *Dialer) Driver() driver.Driver { return &pq.Driver{} }

// Classify implements [pool.Dialer].
func (d *Dialer) Classify(err error) pool.Verdict { return Classify(err) }

// Dial implements [pool.Dialer].
func (d *Dialer) Dial(ctx context.Context, l *pool.Login) (driver.Conn, error) {
	conn, socket, err := d.login(ctx, l.Credential(), l.ApplicationName)
	if err != nil {
		return nil, err
	}
	socket.OnClose(l.Closed)
	l.OnOverstay(socket.Sever)
	return wrapconn.New(conn, l, denied), nil
}

func (d *Dialer) login(ctx context.Context, c source.Credential, name func(string) string) (driver.Conn, *wrapconn.Socket, error) {
	ctx, cancel := context.WithTimeout(ctx, longestLogin)
	defer cancel()
	config := d.config.Clone()
	if c.Username != "" {
		config.User = c.Username
	}
	if d.BeforeConnect != nil {
		if err := d.BeforeConnect(ctx, &config); err != nil {
			return nil, nil, err
		}
	}
	config.Password = c.Password.Reveal()
	if config.Password == "" {
		config.Passfile = os.DevNull + "/none" // or the driver looks it up
	}
	if name != nil {
		config.ApplicationName = name(config.ApplicationName)
	}
	connector, err := pq.NewConnectorConfig(config)
	if err != nil {
		return nil, nil, err
	}
	s := &sockets{dial: d.DialContext}
	if s.dial == nil {
		s.dial = new(net.Dialer).DialContext
	}
	connector.Dialer(s)
	// The driver looks at the context only while it opens a socket.
	stop := context.AfterFunc(ctx, s.close)
	conn, err := connector.Connect(ctx)
	if !stop() {
		if err == nil {
			_ = conn.Close() // its socket is closed
		}
		return nil, nil, errors.Join(ctx.Err(), err)
	}
	last := s.keepLast(err == nil)
	return conn, last, err
}

// sockets are what one login has opened: one for each host and each way that
// the driver tries, and later one for each statement that is canceled.
type sockets struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu    sync.Mutex
	ended bool
	all   []*wrapconn.Socket
}

// DialContext implements [pq.DialerContext].
func (s *sockets) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	bare, err := s.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return bare, nil
	}
	conn, socket := wrapconn.Watch(bare)
	s.all = append(s.all, socket)
	return conn, nil
}

// Dial implements [pq.Dialer]; the driver prefers DialContext.
func (s *sockets) Dial(network, address string) (net.Conn, error) {
	return s.DialContext(context.Background(), network, address)
}

// DialTimeout implements [pq.Dialer]; the driver prefers DialContext.
func (s *sockets) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return s.DialContext(ctx, network, address)
}

func (s *sockets) close() { s.keepLast(false) }

// keepLast ends the login. It closes all sockets, or all but the last one, as
// the driver leaves some open, and returns that one.
func (s *sockets) keepLast(keep bool) (last *wrapconn.Socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = keep
	if n := len(s.all); keep && n > 0 {
		last, s.all = s.all[n-1], s.all[:n-1]
	}
	for _, socket := range s.all {
		_ = socket.Close() // of no use any more
	}
	s.all = nil
	return last
}

// Verify implements [pool.Dialer].
func (d *Dialer) Verify(ctx context.Context, s refresh.Snapshot, _ *pool.Options) error {
	return wrapconn.Verify(ctx, d.connect(s), d.Check, denied, passing)
}

// single logs in outside the pool and lends the connection to use.
func (d *Dialer) single(ctx context.Context, s refresh.Snapshot, use func(context.Context, *sql.Conn) error) (login, used error) {
	return wrapconn.Single(ctx, d.connect(s), use)
}

// connect is a login outside the pool.
func (d *Dialer) connect(s refresh.Snapshot) wrapconn.Connect {
	return func(ctx context.Context) (driver.Conn, error) {
		conn, _, err := d.login(ctx, s.Credential, nil)
		return conn, err
	}
}
