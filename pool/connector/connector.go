// Package connector lets pools of package pool log in through any driver of
// database/sql that has a [driver.Connector]. Packages that know their driver,
// such as pool/mysql, count sockets as they close; here a connection counts
// until database/sql closes it.
//
//	dialer, err := connector.New(&connector.Config{
//		Open: func(_ context.Context, c source.Credential) (driver.Connector, error) {
//			config := base.Clone() // of your driver
//			config.User, config.Password = c.Username, c.Password.Reveal()
//			return yourdriver.NewConnector(config)
//		},
//		Classify: func(err error) pool.Verdict { … },
//	})
//	db, err := pool.OpenDB(ctx, dialer, refresher, nil)
package connector

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rekey-go/rekey/internal/wrapconn"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

// A Config tells how to use a driver. Open and Classify must be set.
type Config struct {
	// Open returns a connector that logs in with c. It is called for each
	// login, and the connector is asked for one connection. Put the password
	// where no text is parsed: in a field of the driver's configuration. A
	// connector that is an [io.Closer] is closed after its connection.
	Open func(ctx context.Context, c source.Credential) (driver.Connector, error)

	// Classify tells which errors of a login mean that the database rejected
	// the credential.
	Classify func(err error) pool.Verdict

	// Denied tells which errors mean that a statement was refused for lack of
	// rights. Nil: none.
	Denied func(err error) bool

	// Check is run on a connection of its own with each new credential, after
	// the login and before anybody gets the credential. An error that wraps
	// [refresh.ErrRejected] rejects the credential and the old one stays; any
	// other means that this could not be found out. Nil: a login is enough.
	Check func(ctx context.Context, conn *sql.Conn) error

	// Probe makes the dialer a [pool.Prober], if set. It is given the driver's
	// own connection.
	Probe func(ctx context.Context, conn driver.Conn) error

	// LostRights makes the dialer a [pool.RightsComparer], if set.
	LostRights func(ctx context.Context, from, to refresh.Snapshot) ([]string, error)

	// Driver is what [database/sql.DB.Driver] returns. Nil: one that opens
	// nothing.
	Driver driver.Driver
}

// longestLogin bounds a login, if the driver looks at its context.
const longestLogin = 2 * time.Minute

// New returns a dialer for a driver. Its connections have what the driver's
// have, and a method Raw() driver.Conn that returns the driver's own.
func New(config *Config) (pool.Dialer, error) {
	if config == nil || config.Open == nil || config.Classify == nil {
		return nil, errors.New("connector: New needs Open and Classify")
	}
	d := &dialer{*config}
	if d.config.Driver == nil {
		d.config.Driver = none{}
	}
	if d.config.Denied == nil {
		d.config.Denied = func(error) bool { return false }
	}
	p, r := prober{config.Probe}, comparer{config.LostRights}
	switch {
	case p.probe != nil && r.lost != nil:
		return struct {
			*dialer
			prober
			comparer
		}{d, p, r}, nil
	case p.probe != nil:
		return struct {
			*dialer
			prober
		}{d, p}, nil
	case r.lost != nil:
		return struct {
			*dialer
			comparer
		}{d, r}, nil
	}
	return d, nil
}

type dialer struct{ config Config }

type prober struct {
	probe func(context.Context, driver.Conn) error
}

func (p prober) Probe(ctx context.Context, conn driver.Conn) error {
	if wrapped, ok := conn.(interface{ Raw() driver.Conn }); ok {
		conn = wrapped.Raw()
	}
	return p.probe(ctx, conn)
}

type comparer struct {
	lost func(ctx context.Context, from, to refresh.Snapshot) ([]string, error)
}

func (c comparer) LostRights(ctx context.Context, from, to refresh.Snapshot) ([]string, error) {
	return c.lost(ctx, from, to)
}

func (d *dialer) Driver() driver.Driver { return d.config.Driver }

func (d *dialer) Classify(err error) pool.Verdict {
	if err == nil {
		return pool.Unrelated
	}
	return d.config.Classify(err)
}

func (d *dialer) Dial(ctx context.Context, l *pool.Login) (driver.Conn, error) {
	conn, connector, err := d.login(ctx, l.Credential())
	if err != nil {
		return nil, err
	}
	return wrapconn.New(conn, session{l, connector}, d.config.Denied), nil
}

func (d *dialer) login(ctx context.Context, c source.Credential) (driver.Conn, driver.Connector, error) {
	ctx, cancel := context.WithTimeout(ctx, longestLogin)
	defer cancel()
	connector, err := d.config.Open(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	conn, err := connector.Connect(ctx)
	if err != nil {
		closeConnector(connector)
		return nil, nil, err
	}
	return conn, connector, nil
}

func (d *dialer) Verify(ctx context.Context, s refresh.Snapshot, _ *pool.Options) error {
	var connector driver.Connector
	connect := wrapconn.Connect(func(ctx context.Context) (conn driver.Conn, err error) {
		conn, connector, err = d.login(ctx, s.Credential)
		return conn, err
	})
	login, used := wrapconn.Single(ctx, connect, func(ctx context.Context, conn *sql.Conn) error {
		if d.config.Check == nil {
			return nil
		}
		return d.config.Check(ctx, conn)
	})
	closeConnector(connector)
	switch {
	case login != nil:
		return fmt.Errorf("login: %w", login)
	case used != nil:
		return fmt.Errorf("check: %w", used)
	}
	return nil
}

// session ends a connector with its connection.
type session struct {
	*pool.Login
	connector driver.Connector
}

func (s session) Closed() {
	s.Login.Closed()
	closeConnector(s.connector)
}

func closeConnector(c driver.Connector) {
	if c, ok := c.(io.Closer); ok {
		_ = c.Close() // nobody uses it any more
	}
}

// none is the driver of those who have not told theirs.
type none struct{}

func (none) Open(string) (driver.Conn, error) {
	return nil, errors.New("connector: a pool is not opened by name")
}
