// Package pgharness makes the harnesses of package dialertest that are for
// PostgreSQL.
package pgharness

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/pool/dialertest"
)

// New returns a harness for a database. Dialer and At are the caller's to set.
func New(t testing.TB, db *pgtest.DB) dialertest.Harness {
	host, port := db.Server.Addr()
	orders := pgserver.QuoteIdent("orders")
	admin := func(statements ...string) {
		t.Helper()
		conn := db.Admin()
		defer conn.Close(t.Context())
		for _, s := range statements {
			if _, err := conn.Exec(t.Context(), s); err != nil {
				t.Errorf("pgharness: %v", err)
			}
		}
	}
	return dialertest.Harness{
		Address: net.JoinHostPort(host, strconv.Itoa(int(port))),
		User: func(base string) string {
			user := db.Role(base)
			if most := 63; len(user) > most { // PostgreSQL cuts longer names
				user = strings.ToValidUTF8(user[len(user)-most:], "")
			}
			return user
		},
		CreateUser:  db.CreateUser,
		SetPassword: db.SetPassword,
		DropUser:    db.DropUser,
		// Users have the rights of their group; this one leaves it for rights
		// of its own.
		Revoke: func(user string) {
			quoted := pgserver.QuoteIdent(user)
			admin(
				"revoke "+pgserver.QuoteIdent(db.Group)+" from "+quoted,
				"grant connect on database "+pgserver.QuoteIdent(db.Name)+" to "+quoted,
				"grant select, update, delete on "+orders+" to "+quoted,
			)
		},
		Sessions:    db.Sessions,
		EndSessions: db.EndSessions,
		SQL: dialertest.SQL{
			Insert: "insert into orders(item, qty) values ($1, $2)",
			Select: "select qty from orders where item = $1",
			Update: "update orders set qty = $1 where item = $2",
			User:   "select session_user",
			Sleep:  "select pg_sleep(10)",
		},
	}
}

// Config is a configuration of pgx for a database, at another address if one
// is given.
func Config(t testing.TB, db *pgtest.DB, address string) *pgx.ConnConfig {
	t.Helper()
	config, err := pgx.ParseConfig(db.DSN)
	if err != nil {
		t.Fatal(err)
	}
	if address != "" {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		config.Host, config.Port = host, uint16(n)
		for _, f := range config.Fallbacks {
			f.Host, f.Port = host, uint16(n)
		}
	}
	return config
}
