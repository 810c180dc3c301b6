package mysqltest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/rekey-go/rekey/internal/mysqlserver"
)

// DB is a database of one test. It holds the table
// orders(id bigint auto_increment primary key, item text, qty int).
// Methods that change something fail the test when they cannot.
type DB struct {
	Server *mysqlserver.Server
	Name   string

	t      testing.TB
	suffix string

	mu    sync.Mutex
	users map[string]bool
}

// Database makes a database on the shared server of a product, dropped with its
// users when the test ends.
func Database(t testing.TB, product mysqlserver.Product) *DB {
	t.Helper()
	db := On(t, Server(t, product))
	t.Cleanup(func() {
		db.exec("drop database " + mysqlserver.QuoteIdent(db.Name))
		for user := range db.users {
			db.exec("drop user if exists " + account(user))
		}
	})
	return db
}

// On makes a database on a server that New started; it goes with the server.
func On(t testing.TB, server *mysqlserver.Server) *DB {
	t.Helper()
	suffix := strings.ToLower(rand.Text()[:10])
	db := &DB{Server: server, Name: "test_" + suffix, t: t, suffix: suffix, users: map[string]bool{}}
	db.exec("create database " + mysqlserver.QuoteIdent(db.Name) + " character set utf8mb4")
	db.exec("create table " + db.Table() + " (id bigint auto_increment primary key, item text, qty int)")
	return db
}

// Config is the configuration of an application: without user and password.
func (db *DB) Config() *mysql.Config { return db.Server.AppConfig(db.Name) }

// Table is the name of the table orders with that of the database.
func (db *DB) Table() string { return mysqlserver.QuoteIdent(db.Name) + ".orders" }

// Role returns a user name that no other test uses: base with the database's
// suffix, without what the servers' tables of users cannot hold: blanks in front
// and characters of four bytes.
func (db *DB) Role(base string) string {
	name := []rune(base + "_" + db.suffix)
	name = slices.DeleteFunc(name, func(r rune) bool { return r > 0xffff })
	const longest = 32 // MariaDB allows more
	return strings.TrimLeft(string(name[max(0, len(name)-longest):]), " ")
}

// CreateUser creates a user with the right to use orders.
func (db *DB) CreateUser(user, password string) {
	db.t.Helper()
	db.mu.Lock()
	db.users[user] = true
	db.mu.Unlock()
	db.exec("create user " + account(user) + " identified by " + mysqlserver.QuoteLiteral(password))
	db.Grant(user)
}

// Grant gives a user the right to use orders.
func (db *DB) Grant(user string) {
	db.t.Helper()
	db.exec("grant select, insert, update, delete on " + db.Table() + " to " + account(user))
}

// Revoke takes from a user one right on orders, such as INSERT. Open sessions
// lose it at once.
func (db *DB) Revoke(user, right string) {
	db.t.Helper()
	db.exec("revoke " + right + " on " + db.Table() + " from " + account(user))
}

// SetPassword changes a user's password. Open sessions live on.
func (db *DB) SetPassword(user, password string) {
	db.t.Helper()
	db.exec("alter user " + account(user) + " identified by " + mysqlserver.QuoteLiteral(password))
}

// DropUser drops a user. Open sessions live on, with their rights.
func (db *DB) DropUser(user string) {
	db.t.Helper()
	db.exec("drop user " + account(user))
}

// Alter changes a user in another way: ACCOUNT LOCK, PASSWORD EXPIRE, …
func (db *DB) Alter(user, how string) {
	db.t.Helper()
	db.exec("alter user " + account(user) + " " + how)
}

// Sessions counts a user's open sessions.
func (db *DB) Sessions(user string) int {
	db.t.Helper()
	return len(db.sessions(user))
}

// EndSessions kills a user's open sessions and says how many there were.
func (db *DB) EndSessions(user string) (n int) {
	db.t.Helper()
	for _, id := range db.sessions(user) {
		err := db.Server.Do(func(admin *sql.DB) error {
			_, err := admin.ExecContext(context.WithoutCancel(db.t.Context()), "kill "+strconv.FormatInt(id, 10))
			return err
		})
		var e *mysql.MySQLError
		const unknownThread = 1094
		switch {
		case err == nil:
			n++
		case !errors.As(err, &e) || e.Number != unknownThread: // else it has ended by itself
			db.t.Errorf("mysqltest: %v", err)
		}
	}
	return n
}

func (db *DB) sessions(user string) (ids []int64) {
	db.t.Helper()
	ctx := context.WithoutCancel(db.t.Context())
	err := db.Server.Do(func(admin *sql.DB) error {
		rows, err := admin.QueryContext(ctx, "select id from information_schema.processlist where user = "+mysqlserver.QuoteLiteral(user))
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var id int64
			if err := rows.Scan(&id); err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return rows.Err()
	})
	if err != nil {
		db.t.Errorf("mysqltest: %v", err)
	}
	return ids
}

// Exec runs a statement of the superuser.
func (db *DB) Exec(query string) {
	db.t.Helper()
	db.exec(query)
}

// exec may run in several goroutines of a test, so it reports without stopping one.
func (db *DB) exec(query string) {
	db.t.Helper()
	if err := db.Server.Exec(context.WithoutCancel(db.t.Context()), query); err != nil {
		db.t.Errorf("mysqltest: %v", err) // without the statement: it may hold a password
	}
}

func account(user string) string { return mysqlserver.QuoteLiteral(user) + "@'%'" }
