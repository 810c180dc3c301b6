// Package mysql lets pools of package pool log in to MySQL and MariaDB through
// github.com/go-sql-driver/mysql.
//
//	config, err := driver.ParseDSN("tcp(db.internal:3306)/shop?tls=true") // of go-sql-driver/mysql
//	dialer, err := mysql.New(config)
//	r, err := refresh.New(ctx, src, nil)
//	db, err := pool.OpenDB(ctx, dialer, r, nil) // a *sql.DB for life
package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"reflect"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/rekey-go/rekey/internal/wrapconn"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

// A Dialer is the [pool.Dialer] for go-sql-driver/mysql. Make one with [New];
// its hooks may be set before it is used.
//
// [database/sql.Conn.Raw] sees a connection that has what the driver's has; its
// method Raw() driver.Conn returns the driver's own.
//
// Each login ends with one SELECT 1, because servers let a user with an expired
// password in and then refuse every statement.
type Dialer struct {
	config *mysql.Config

	// BeforeConnect is run before each login with a copy of the configuration,
	// which it may change. The user name is set, the password is not. Nil: none.
	BeforeConnect func(ctx context.Context, config *mysql.Config) error

	// Check is run on a connection of its own with each new credential, after
	// the login and before anybody gets the credential. An error that is not
	// about the network or the state of the server rejects the credential and
	// the old one stays. Nil: a login is enough.
	Check func(ctx context.Context, conn *sql.Conn) error
}

// longestLogin bounds a login as a whole; config.Timeout is for its dial only.
const longestLogin = 2 * time.Minute

// New returns a dialer for the server of config, which is copied. Its password
// is not used, nor its user where the source names one.
//
// It is an error if config is not valid or has a hook of its own, see
// [Dialer.BeforeConnect]. With AllowCleartextPasswords it is a
// [*CleartextError] if anybody but the server could get to see the password.
func New(config *mysql.Config) (*Dialer, error) {
	if config == nil {
		return nil, errors.New("mysql: New needs a configuration")
	}
	// The driver has one hook, which the dialer needs for the password.
	if hook := reflect.ValueOf(config).Elem().FieldByName("beforeConnect"); hook.IsValid() && !hook.IsNil() {
		return nil, errors.New("mysql: the configuration has a hook; set BeforeConnect of the dialer instead")
	}
	d := &Dialer{config: config.Clone()}
	d.config.Passwd = ""
	if _, err := mysql.NewConnector(d.config); err != nil { // it works on a copy
		return nil, fmt.Errorf("mysql: %w", err)
	}
	if err := checkCleartext(d.config); err != nil {
		return nil, err
	}
	return d, nil
}

// Driver returns go-sql-driver's driver.
func (d *Dialer) Driver() driver.Driver { return &mysql.MySQLDriver{} }

// Classify implements [pool.Dialer].
func (d *Dialer) Classify(err error) pool.Verdict { return Classify(err) }

// Dial implements [pool.Dialer].
func (d *Dialer) Dial(ctx context.Context, l *pool.Login) (driver.Conn, error) {
	conn, socket, err := d.login(ctx, l.Credential(), l.ApplicationName)
	if err != nil {
		return nil, err
	}
	if socket != nil {
		socket.OnClose(l.Closed)
		l.OnOverstay(socket.Sever)
	}
	return wrapconn.New(conn, l, denied), nil
}

// login logs in once. The socket is nil if the driver dials by itself.
func (d *Dialer) login(ctx context.Context, c source.Credential, name func(string) string) (driver.Conn, *wrapconn.Socket, error) {
	ctx, cancel := context.WithTimeout(ctx, longestLogin)
	defer cancel()
	config := d.config.Clone()
	if c.Username != "" {
		config.User = c.Username
	}
	if d.BeforeConnect != nil {
		if err := d.BeforeConnect(ctx, config); err != nil {
			return nil, nil, err
		}
	}
	config.Passwd = ""
	// The connection keeps the copy that the hook is given for life; the
	// password is in it for as long as the login is under way.
	kept := config
	err := config.Apply(mysql.BeforeConnect(func(_ context.Context, copied *mysql.Config) error {
		if err := checkCleartext(copied); err != nil { // the hook may have changed it, or a name means another TLS now
			return err
		}
		kept, copied.Passwd = copied, c.Password.Reveal()
		return nil
	}))
	if err != nil {
		return nil, nil, err
	}
	defer func() { kept.Passwd = "" }()
	if name != nil {
		config.ConnectionAttributes = withName(config.ConnectionAttributes, name)
	}
	var socket *wrapconn.Socket
	if dial := dialFunc(config); dial != nil {
		config.DialFunc = func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
			if conn, err = dial(ctx, network, addr); err != nil {
				return nil, err
			}
			if tcp, ok := conn.(*net.TCPConn); ok { // as the driver does with what it knows
				_ = tcp.SetKeepAlive(true)
			}
			conn, socket = wrapconn.Watch(conn)
			return conn, nil
		}
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, nil, err
	}
	conn, err := connector.Connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	if x, ok := conn.(driver.ExecerContext); ok {
		if _, err := x.ExecContext(ctx, "select 1", nil); err != nil {
			_ = conn.Close() // it is of no use
			return nil, nil, err
		}
	}
	return conn, socket, nil
}

// dialFunc is how config dials, or nil for a network that the driver alone
// knows, see [mysql.RegisterDialContext].
func dialFunc(config *mysql.Config) func(ctx context.Context, network, addr string) (net.Conn, error) {
	if config.DialFunc != nil {
		return config.DialFunc
	}
	switch config.Net {
	case "", "tcp", "tcp4", "tcp6", "unix":
		return new(net.Dialer).DialContext
	}
	return nil
}

// programName is the connection attribute that names the application.
const programName = "program_name"

// withName has name choose the application's name among the attributes, which
// are written as key:value,key:value.
func withName(attributes string, name func(string) string) string {
	var others []string
	base := ""
	for a := range strings.SplitSeq(attributes, ",") {
		if key, value, _ := strings.Cut(a, ":"); key == programName {
			base = value
		} else if a != "" {
			others = append(others, a)
		}
	}
	if n := name(base); n != "" && !strings.Contains(n, ",") {
		others = append(others, programName+":"+n)
	}
	return strings.Join(others, ",")
}

// Verify implements [pool.Dialer].
func (d *Dialer) Verify(ctx context.Context, s refresh.Snapshot, _ *pool.Options) error {
	return wrapconn.Verify(ctx, d.connect(s), d.Check, func(err error) bool { return number(err) == noDatabaseAccess }, passing)
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
