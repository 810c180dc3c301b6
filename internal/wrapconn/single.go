package wrapconn

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"github.com/rekey-go/rekey/refresh"
)

// Connect is one way to log in, as a driver.Connector.
type Connect func(ctx context.Context) (driver.Conn, error)

// Connect implements [driver.Connector].
func (c Connect) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c(ctx)
	if err != nil {
		return nil, err
	}
	return New(conn, nobody{}, func(error) bool { return false }), nil
}

// Driver implements [driver.Connector]. Nobody gets to see it.
func (c Connect) Driver() driver.Driver { return nil }

// Single logs in once, outside any pool, and lends the connection to use. It
// looks like those of the pool. The first error is that of the login, the other
// one what use has returned.
func Single(ctx context.Context, connect Connect, use func(context.Context, *sql.Conn) error) (login, used error) {
	db := sql.OpenDB(connect)
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(ctx)
	if err != nil {
		return err, nil
	}
	defer func() { _ = conn.Close() }()
	return nil, use(ctx, conn)
}

// Verify is what the dialers of wrapped drivers do to prove a credential: a
// login, and the user's check, which may be nil. Errors say which of both
// failed. A login that failed for lack of rights, and a check that failed for
// good, reject the credential.
func Verify(ctx context.Context, connect Connect, check func(context.Context, *sql.Conn) error, noRight, passing func(error) bool) error {
	login, used := Single(ctx, connect, func(ctx context.Context, conn *sql.Conn) error {
		if check == nil {
			return nil
		}
		return check(ctx, conn)
	})
	switch {
	case login != nil && noRight(login):
		return fmt.Errorf("login: %w (%w)", login, refresh.ErrRejected)
	case login != nil:
		return fmt.Errorf("login: %w", login)
	case used != nil && passing(used):
		return fmt.Errorf("check: %w", used)
	case used != nil:
		return fmt.Errorf("check: %w (%w)", used, refresh.ErrRejected)
	}
	return nil
}

// nobody is the session of a connection that is in no pool.
type nobody struct{}

func (nobody) Check(context.Context) error { return nil }
func (nobody) Valid() bool                 { return true }
func (nobody) Denied(error)                {}
func (nobody) Closed()                     {}
