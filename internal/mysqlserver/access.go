package mysqlserver

import (
	"context"
	"database/sql"
	"strings"
	"sync"

	"github.com/go-sql-driver/mysql"
)

// Product is what the server is.
func (s *Server) Product() Product { return s.product }

// Version is what the server says: 10.11.6-MariaDB-…, 9.7.0, …
func (s *Server) Version() string { return s.version }

// CAFile is the path of the certificate authority that vouches for the server;
// empty for a server given by DSN.
func (s *Server) CAFile() string { return s.caFile }

// Config returns the superuser's configuration, password included.
func (s *Server) Config() *mysql.Config { return s.config.Clone() }

// AppConfig returns a configuration for a database without user and password:
// address and TLS settings, as an application that gets its credentials
// elsewhere has it.
func (s *Server) AppConfig(database string) *mysql.Config {
	c := s.config.Clone()
	c.User, c.Passwd, c.DBName = "", "", database
	return c
}

// Admin opens a handle of the superuser, for the caller to close.
func (s *Server) Admin() (*sql.DB, error) {
	connector, err := mysql.NewConnector(s.Config())
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// Exec runs a statement as superuser on the server's one lasting connection.
func (s *Server) Exec(ctx context.Context, query string) error {
	return s.Do(func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, query)
		return err
	})
}

// Do lends the superuser's lasting handle, which has one connection, to one
// caller at a time. It is opened when first needed.
func (s *Server) Do(f func(*sql.DB) error) error { return s.admin.do(f) }

type admin struct {
	server *Server
	mu     sync.Mutex
	db     *sql.DB
}

func (a *admin) do(f func(*sql.DB) error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.db == nil {
		db, err := a.server.Admin()
		if err != nil {
			return err
		}
		db.SetMaxOpenConns(1)
		a.db = db
	}
	return f(a.db)
}

func (a *admin) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.db != nil {
		_ = a.db.Close() // it is given up anyway
		a.db = nil
	}
}

// QuoteIdent writes a name so that SQL takes it for an identifier, whatever it holds.
func QuoteIdent(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// QuoteLiteral writes a text so that SQL takes it for a string constant, as
// long as the session has the default sql_mode.
func QuoteLiteral(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`, "\x00", `\0`).Replace(text) + "'"
}
