package pooltest

import (
	"cmp"
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/internal/pgserver"
)

// A Server is a database on a real PostgreSQL with a user for the service, a
// role that owns what the service uses, and a store that holds the user's
// current credential.
type Server struct {
	server *pgserver.Server
	admin  url.URL // of the administrator, to the test's database
	owner  string
	prefix string // of all names that are made
	given  bool   // the server stays when the test ends
	store  *Store

	mu   sync.Mutex // one rotation at a time
	made []user     // all users, the current one last
}

// A user is a role that the service logs in as. It is dropped when its
// successor has taken over.
type user struct {
	name  string
	oid   uint32    // outlives the name in the list of sessions
	since time.Time // when its password was set, by the server's clock
	gone  bool      // dropped
}

// Postgres gives the test a server and an empty database on it, both gone when
// the test ends. The server is that of REKEY_TEST_POSTGRES_DSN (the URL of a
// superuser), or one of this test's own, from local binaries or with Docker.
// Tests that share one call it in their parent.
func Postgres(t testing.TB) *Server {
	t.Helper()
	s := start(t, &pgserver.Options{Log: t.Output()})
	s.owner = s.prefix + "owner"
	name := s.prefix + "db"
	t.Cleanup(func() {
		s.cleanUp(t, "drop database if exists "+pgserver.QuoteIdent(name)+" with (force)", "drop role if exists "+pgserver.QuoteIdent(s.owner))
	})
	s.do(t, "create role "+pgserver.QuoteIdent(s.owner)+" nologin")
	s.do(t, "grant "+pgserver.QuoteIdent(s.owner)+" to current_user")
	s.do(t, "create database "+pgserver.QuoteIdent(name)+" owner "+pgserver.QuoteIdent(s.owner))
	s.admin.Path, s.admin.RawPath = "/"+name, ""
	s.firstUser(t)
	return s
}

// On gives the test users on a database that exists, such as one in a
// container that the test has started and migrated. adminDSN is the URL of a
// user that may create roles and see all sessions: a superuser, or one with
// CREATEROLE and pg_read_all_stats. owner is the role whose rights the service
// has, and which its users become members of; empty means the user of adminDSN,
// who owns the tables if he has made them. The users are removed when the test
// ends, and what they own goes to the owner.
func On(t testing.TB, adminDSN, owner string) *Server {
	t.Helper()
	s := start(t, &pgserver.Options{DSN: adminDSN})
	s.owner = cmp.Or(owner, s.admin.User.Username())
	t.Cleanup(func() { s.cleanUp(t, "", "") })
	s.firstUser(t)
	return s
}

// start starts or finds the server and sees that its administrator can see.
func start(t testing.TB, opts *pgserver.Options) *Server {
	t.Helper()
	server, err := pgserver.Start(t.Context(), opts)
	if err != nil {
		t.Fatalf("pooltest: %v", err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("pooltest: %v", err)
		}
	})
	admin, err := url.Parse(server.DSN())
	if err != nil {
		t.Fatal("pooltest: the server's DSN is no URL")
	}
	s := &Server{
		server: server, admin: *admin,
		prefix: "pooltest_" + strings.ToLower(rand.Text()[:8]) + "_",
		given:  cmp.Or(opts.DSN, os.Getenv(pgserver.EnvDSN)) != "",
	}
	var sees bool
	s.query(t, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "select pg_has_role(current_user, 'pg_read_all_stats', 'usage')").Scan(&sees)
	})
	if !sees {
		t.Fatalf("pooltest: %q may not see the sessions of others, so nothing could be proved; run: grant pg_read_all_stats to %s",
			s.admin.User.Username(), pgserver.QuoteIdent(s.admin.User.Username()))
	}
	return s
}

// DSN is the URL of the database as a service has it whose credentials come
// from elsewhere: without a user and a password.
func (s *Server) DSN() string {
	u := s.admin
	u.User = nil
	return u.String()
}

// OwnerDSN is the URL for migrations: what is made through it belongs to the
// owner, and the service's users may use it. It holds the administrator's
// password.
func (s *Server) OwnerDSN() string {
	u := s.admin
	q := u.Query()
	escaped := strings.NewReplacer(`\`, `\\`, " ", `\ `).Replace(s.owner)
	q.Set("options", strings.TrimSpace(q.Get("options")+" -c role="+escaped))
	// libpq and its followers take a plus sign for a plus sign.
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20")
	return u.String()
}

// Exec runs SQL as the owner, several statements if there are no arguments.
func (s *Server) Exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	ctx, cancel := bounded(t)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.OwnerDSN())
	if err != nil {
		t.Fatalf("pooltest: %v", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, sql, args...); err != nil {
		t.Fatalf("pooltest: %v", err)
	}
}

// Store is the store that holds the current credential.
func (s *Server) Store() *Store { return s.store }

// Stop takes the database away: sessions end, and logins are refused until
// [Server.Start]. Only a server that this package has started can be stopped.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	ctx, cancel := bounded(t)
	defer cancel()
	if err := s.server.Stop(ctx); err != nil {
		t.Fatalf("pooltest: %v", err)
	}
}

// Start brings the database back, at the same address and with the same data.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	ctx, cancel := bounded(t)
	defer cancel()
	if err := s.server.Start(ctx); err != nil {
		t.Fatalf("pooltest: %v", err)
	}
}

// query lends the administrator's connection and fails the test if f fails.
func (s *Server) query(t testing.TB, f func(context.Context, *pgx.Conn) error) {
	t.Helper()
	ctx, cancel := bounded(t)
	defer cancel()
	if err := s.server.Do(ctx, func(conn *pgx.Conn) error { return f(ctx, conn) }); err != nil {
		t.Fatalf("pooltest: %v", err) // without the statement: it may hold a password
	}
}

// do runs a statement as the administrator.
func (s *Server) do(t testing.TB, sql string) {
	t.Helper()
	s.query(t, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, sql)
		return err
	})
}

// cleanUp runs statements and removes the users, where the server stays: from
// one of the test's own everything goes with it.
func (s *Server) cleanUp(t testing.TB, first string, last string) {
	if !s.given {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	do := func(conn func(context.Context, string) error, sql string) {
		if sql == "" {
			return
		}
		if err := conn(ctx, sql); err != nil {
			t.Errorf("pooltest: cleaning up: %v", err)
		}
	}
	anywhere := func(ctx context.Context, sql string) error { return s.server.Exec(ctx, sql) }
	do(anywhere, first)
	for _, u := range s.made {
		if name := pgserver.QuoteIdent(u.name); !u.gone && anywhere(ctx, "drop role "+name) != nil { // it owns something
			sql := "reassign owned by " + name + " to " + pgserver.QuoteIdent(s.owner) + "; drop owned by " + name + "; drop role " + name
			if s.here(ctx, sql) != nil { // all of it or nothing; who is not a superuser must be a member
				do(s.here, "grant "+name+" to current_user; "+sql)
			}
		}
	}
	do(anywhere, last)
}

// here runs SQL as the administrator in the test's database.
func (s *Server) here(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, s.admin.String())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, sql)
	return err
}

// bounded is the time that anything here may take. The test's own context ends
// before its cleanup, which may still call.
func bounded(t testing.TB) (context.Context, context.CancelFunc) {
	return context.WithDeadline(context.WithoutCancel(t.Context()), deadline(t))
}

// patience is how long pools and servers may take.
const patience = 30 * time.Second

// margin is how long before the test's own deadline waiting ends, to say why.
const margin = time.Second

// deadline is when waiting ends.
func deadline(t testing.TB) time.Time {
	at := time.Now().Add(patience)
	if d, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		if end, ok := d.Deadline(); ok && end.Add(-margin).Before(at) {
			at = end.Add(-margin)
		}
	}
	return at
}
