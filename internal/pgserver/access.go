package pgserver

import (
	"context"
	"net/url"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Addr is where the server listens. It stays the same across Stop and Start.
func (s *Server) Addr() (host string, port uint16) { return s.host, s.port }

// DSN is the URL of the superuser, password included.
func (s *Server) DSN() string { return s.dsn.String() }

// AppDSN is the URL without user and password: host, port, database and TLS
// settings, as an application that gets its credentials elsewhere has it.
func (s *Server) AppDSN() string {
	u := s.dsn
	u.User = nil
	q := u.Query()
	q.Del("user")
	q.Del("password")
	u.RawQuery = q.Encode()
	return u.String()
}

// DatabaseDSN is AppDSN for another database.
func (s *Server) DatabaseDSN(database string) string {
	u, err := url.Parse(s.AppDSN())
	if err != nil {
		panic(err) // the text comes from a url.URL
	}
	u.Path, u.RawPath = "/"+database, ""
	return u.String()
}

// CAFile is the path of the certificate authority that vouches for the server.
func (s *Server) CAFile() string { return s.caFile }

// Version is the server's server_version_num: 150004, 160010, …
func (s *Server) Version() int { return int(s.version.Load()) }

// Admin opens a connection of the superuser, for the caller to close.
func (s *Server) Admin(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, s.DSN())
}

// Exec runs a statement as superuser on the server's one lasting connection.
func (s *Server) Exec(ctx context.Context, sql string, args ...any) error {
	return s.Do(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, sql, args...)
		return err
	})
}

// Do lends the superuser's lasting connection to one caller at a time. It is
// opened when first needed and again when it was lost.
func (s *Server) Do(ctx context.Context, f func(*pgx.Conn) error) error {
	return s.admin.do(ctx, f)
}

// admin is a single connection behind a lock: a pool would keep goroutines,
// which tests that look for leaked ones would find.
type admin struct {
	dsn  func() string
	mu   sync.Mutex
	conn *pgx.Conn
}

func (a *admin) do(ctx context.Context, f func(*pgx.Conn) error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conn != nil && a.conn.Ping(ctx) != nil {
		a.drop()
	}
	if a.conn == nil {
		conn, err := pgx.Connect(ctx, a.dsn())
		if err != nil {
			return err
		}
		a.conn = conn
	}
	return f(a.conn)
}

func (a *admin) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conn != nil {
		a.drop()
	}
}

// drop closes the connection; what the server says to that does not matter.
func (a *admin) drop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = a.conn.Close(ctx)
	a.conn = nil
}
