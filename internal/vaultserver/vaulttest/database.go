package vaulttest

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/internal/vaultserver"
)

// Engine is Vault's database secrets engine, mounted for one test and connected
// to one database. Methods that change something fail the test when they cannot.
type Engine struct {
	Server *vaultserver.Server
	DB     *pgtest.DB
	Mount  string // such as database_k3j7…
	Admin  string // the PostgreSQL user that Vault works as

	t      testing.TB
	prefix string // of the users that dynamic roles make
}

// connection is the name of a mount's one database.
const connection = "db"

// Database mounts a database engine that works on db, as a PostgreSQL user of
// its own: it may create users and, as a member and administrator of db.Group,
// put them into it and use and grant what the group owns. When the test ends
// its leases are revoked and the mount is gone.
func Database(t testing.TB, server *vaultserver.Server, db *pgtest.DB) *Engine {
	t.Helper()
	suffix := unique()
	e := &Engine{
		Server: server, DB: db, Mount: "database_" + suffix, Admin: "vault_" + suffix,
		t: t, prefix: "v_" + suffix + "_",
	}
	password := rand.Text()
	e.sql("create role " + pgserver.QuoteIdent(e.Admin) + " login createrole password " + pgserver.QuoteLiteral(password))
	e.sql("grant " + pgserver.QuoteIdent(db.Group) + " to " + pgserver.QuoteIdent(e.Admin) + " with admin option")
	e.do("POST", "sys/mounts/"+e.Mount, map[string]any{"type": "database"})
	t.Cleanup(e.close)
	e.do("POST", e.Mount+"/config/"+connection, map[string]any{
		"plugin_name":             "postgresql-database-plugin",
		"connection_url":          template(db.DSN),
		"username":                e.Admin,
		"password":                password,
		"password_authentication": "scram-sha-256",
		"username_template":       e.prefix + "{{.RoleName | truncate 20}}_{{random 12}}",
		"allowed_roles":           []string{"*"},
	})
	return e
}

// template puts Vault's placeholders into a URL without a user.
func template(dsn string) string {
	return strings.Replace(dsn, "://", "://{{username}}:{{password}}@", 1)
}

// Rotate changes the password of a static role now.
func (e *Engine) Rotate(name string) {
	e.t.Helper()
	e.do("POST", e.Mount+"/rotate-role/"+name, nil)
}

// RotateRoot gives Admin a password that only Vault knows.
func (e *Engine) RotateRoot() {
	e.t.Helper()
	e.do("POST", e.Mount+"/rotate-root/"+connection, nil)
}

// Users are the PostgreSQL users that dynamic roles made and that still exist.
func (e *Engine) Users() []string {
	e.t.Helper()
	users, err := e.users()
	if err != nil {
		e.t.Errorf("vaulttest: %v", err)
	}
	return users
}

func (e *Engine) users() (users []string, err error) {
	ctx := context.WithoutCancel(e.t.Context())
	err = e.DB.Server.Do(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, "select rolname from pg_roles where starts_with(rolname, $1) order by 1", e.prefix)
		if err != nil {
			return err
		}
		users, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return users, err
}

// Leases are the IDs of a dynamic role's leases that are not revoked yet.
func (e *Engine) Leases(name string) []string {
	e.t.Helper()
	return Leases(e.t, e.Server, e.Mount+"/creds/"+name)
}

// RevokeAll revokes every lease of a dynamic role behind its holders' backs,
// and returns when their users are gone.
func (e *Engine) RevokeAll(name string) {
	e.t.Helper()
	e.do("PUT", "sys/leases/revoke-prefix/"+e.Mount+"/creds/"+name, map[string]any{"sync": true})
}

// close removes the mount, and the users that Vault could not drop. A server of
// the test's own may be down by now and a database too: theirs goes with them.
func (e *Engine) close() {
	ctx := context.Background()
	_, err := e.Server.Do(ctx, "PUT", "sys/leases/revoke-force/"+e.Mount, nil)
	if err == nil {
		_, err = e.Server.Do(ctx, "DELETE", "sys/mounts/"+e.Mount, nil)
	}
	if err != nil && e.Server == shared.server {
		e.t.Errorf("vaulttest: %v", err)
	}
	left, err := e.users()
	if err != nil || len(left) == 0 {
		return
	}
	conn := e.DB.Admin()
	defer conn.Close(ctx)
	for _, user := range left {
		name := pgserver.QuoteIdent(user)
		if _, err := conn.Exec(ctx, "drop owned by "+name+" cascade; drop role "+name); err != nil {
			e.t.Errorf("vaulttest: %v", err)
		}
	}
}

func (e *Engine) do(method, path string, in any) *vaultserver.Response {
	e.t.Helper()
	return Do(e.t, e.Server, method, path, in)
}

func (e *Engine) sql(sql string) {
	e.t.Helper()
	if err := e.DB.Server.Exec(context.WithoutCancel(e.t.Context()), sql); err != nil {
		e.t.Fatalf("vaulttest: %v", err) // without the statement: it may hold a password
	}
}

// unique is a suffix that no other test uses.
func unique() string { return strings.ToLower(rand.Text()[:10]) }
