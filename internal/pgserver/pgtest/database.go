package pgtest

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/internal/pgserver"
)

// DB is a database of one test. It holds the table
// orders(id bigserial primary key, item text, qty int), owned by Group.
// Methods that change something fail the test when they cannot.
type DB struct {
	Server *pgserver.Server
	Name   string
	DSN    string // without user and password
	Group  string // a role without login; every user is a member and owns nothing

	t      testing.TB
	suffix string
}

// Database makes a database on the shared server, dropped with its users when
// the test ends.
func Database(t testing.TB) *DB {
	t.Helper()
	db := On(t, Server(t))
	t.Cleanup(func() {
		// The test's own context has ended by now.
		if err := db.drop(context.Background()); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return db
}

// On makes a database on a server that New started; it goes with the server.
func On(t testing.TB, server *pgserver.Server) *DB {
	t.Helper()
	suffix := strings.ToLower(rand.Text()[:10])
	db := &DB{Server: server, Name: "test_" + suffix, Group: "owners_" + suffix, t: t, suffix: suffix}
	db.DSN = server.DatabaseDSN(db.Name)
	db.exec("create role " + pgserver.QuoteIdent(db.Group) + " nologin")
	db.exec("create database " + pgserver.QuoteIdent(db.Name))
	db.exec("revoke connect on database " + pgserver.QuoteIdent(db.Name) + " from public")
	db.exec("grant connect on database " + pgserver.QuoteIdent(db.Name) + " to " + pgserver.QuoteIdent(db.Group))
	conn := db.Admin()
	defer conn.Close(t.Context())
	_, err := conn.Exec(t.Context(), `create table orders (id bigserial primary key, item text, qty int);
		alter table orders owner to `+pgserver.QuoteIdent(db.Group))
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return db
}

// Role returns a user name that no other test uses: base with the database's suffix.
func (db *DB) Role(base string) string { return base + "_" + db.suffix }

// Admin opens a connection of the superuser to this database, for the caller to close.
func (db *DB) Admin() *pgx.Conn {
	db.t.Helper()
	cfg, err := pgx.ParseConfig(db.Server.DSN())
	if err != nil {
		db.t.Fatalf("pgtest: %v", err)
	}
	cfg.Database = db.Name
	conn, err := pgx.ConnectConfig(context.WithoutCancel(db.t.Context()), cfg)
	if err != nil {
		db.t.Fatalf("pgtest: %v", err)
	}
	return conn
}

// CreateUser creates a user with the rights of Group: to connect and to use orders.
func (db *DB) CreateUser(user, password string) {
	db.t.Helper()
	db.exec("create role " + pgserver.QuoteIdent(user) + " login password " + pgserver.QuoteLiteral(password) +
		" in role " + pgserver.QuoteIdent(db.Group))
}

// SetPassword changes a user's password. Open sessions live on.
func (db *DB) SetPassword(user, password string) {
	db.t.Helper()
	db.exec("alter role " + pgserver.QuoteIdent(user) + " password " + pgserver.QuoteLiteral(password))
}

// DropUser drops a user. Open sessions live on, without the rights of Group.
func (db *DB) DropUser(user string) {
	db.t.Helper()
	db.exec("drop role " + pgserver.QuoteIdent(user))
}

// NoLogin forbids a user to log in (28000). Open sessions live on.
func (db *DB) NoLogin(user string) {
	db.t.Helper()
	db.exec("alter role " + pgserver.QuoteIdent(user) + " nologin")
}

// Login allows a user to log in again.
func (db *DB) Login(user string) {
	db.t.Helper()
	db.exec("alter role " + pgserver.QuoteIdent(user) + " login")
}

// Sessions counts a user's open sessions.
func (db *DB) Sessions(user string) int {
	db.t.Helper()
	return db.count("select count(*) from pg_stat_activity where usename = $1", user)
}

// EndSessions terminates a user's open sessions (57P01) and says how many there were.
func (db *DB) EndSessions(user string) int {
	db.t.Helper()
	return db.count("select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = $1", user)
}

// exec may run in several goroutines of a test, so it reports without stopping one.
func (db *DB) exec(sql string) {
	db.t.Helper()
	if err := db.Server.Exec(context.WithoutCancel(db.t.Context()), sql); err != nil {
		db.t.Errorf("pgtest: %v", err) // without the statement: it may hold a password
	}
}

func (db *DB) count(sql, user string) (n int) {
	db.t.Helper()
	ctx := context.WithoutCancel(db.t.Context())
	err := db.Server.Do(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, sql, user).Scan(&n)
	})
	if err != nil {
		db.t.Errorf("pgtest: %v", err)
	}
	return n
}

// drop removes the database, then everyone who belonged to it.
func (db *DB) drop(ctx context.Context) error {
	return db.Server.Do(ctx, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "drop database "+pgserver.QuoteIdent(db.Name)+" with (force)"); err != nil {
			return err
		}
		rows, err := conn.Query(ctx, `select m.member::regrole::text from pg_auth_members m
			join pg_roles g on g.oid = m.roleid where g.rolname = $1`, db.Group)
		if err != nil {
			return err
		}
		users, err := pgx.CollectRows(rows, pgx.RowTo[string]) // regrole text is quoted already
		if err != nil {
			return err
		}
		_, err = conn.Exec(ctx, "drop role "+strings.Join(append(users, pgserver.QuoteIdent(db.Group)), ", "))
		return err
	})
}
