package mysql

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Config says how the targets of this package get at the server. The zero values
// mean the defaults, and so do negative values.
type Config struct {
	// Admin is a handle of the rotator's own user, who may change the users that
	// are rotated: see the package's documentation. It stays the caller's, and
	// leads to one server, not through a proxy that spreads sessions.
	Admin *sql.DB

	// Login is where and how the application logs in: address, database, TLS. Its
	// user and password are not used.
	Login *mysql.Config

	// Host is the host part of the users' accounts. Empty: "%", any host.
	Host string

	// Database is where the targets keep a table of their own, rotation, on
	// MariaDB. Empty: "rekey".
	Database string

	// Verify is what the next credential must be able to do; conn is a session of
	// it. Nil: a login is enough, and, where the user changes, equal rights.
	Verify func(ctx context.Context, conn *sql.Conn) error

	// LockTimeout bounds how long a change waits for another one. Zero: 5 s.
	LockTimeout time.Duration

	// Rounds of caching_sha2_password, see [HashOptions].
	Rounds int
}

func (c *Config) withDefaults() (Config, error) {
	if c == nil || c.Admin == nil || c.Login == nil {
		return Config{}, errors.New("mysql: the configuration needs Admin and Login")
	}
	d := *c
	d.Host = cmp.Or(d.Host, "%")
	d.Database = cmp.Or(d.Database, "rekey")
	d.LockTimeout = cmp.Or(max(d.LockTimeout, 0), 5*time.Second)
	d.Rounds = max(d.Rounds, 0)
	if _, err := Account("user", d.Host); err != nil {
		return Config{}, err
	}
	if _, err := Ident(d.Database); err != nil {
		return Config{}, err
	}
	return d, nil
}

// server is what the targets share.
type server struct {
	config Config
	counts whose // sessions that count
}
