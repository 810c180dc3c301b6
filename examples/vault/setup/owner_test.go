package setup_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/examples/vault/setup"
	"github.com/rekey-go/rekey/internal/vaultserver"
)

// A user that owns objects cannot be dropped (2BP01), and Vault tries again and
// again. Users as creation.sql makes them own nothing, and revocation.sql deals
// with those that do all the same.

func TestWhatUsersMakeBelongsToTheOwner(t *testing.T) {
	lab := start(t)
	user := read(t, lab)
	conn := connect(t, lab, user)
	exec(t, conn, "create table orders (id bigserial primary key, item text)", "insert into orders (item) values ('tea')")
	require.Equal(t, "app_owner", ownerOf(t, lab, "orders"))
	revoke(t, lab, user)
	require.Equal(t, "app_owner", ownerOf(t, lab, "orders"))

	next := connect(t, lab, read(t, lab))
	exec(t, next, "insert into orders (item) values ('milk')", "alter table orders add qty int", "drop table orders")
}

func TestUserThatOwnsObjectsIsRevokedAndTheyStay(t *testing.T) {
	lab := start(t)
	user := read(t, lab)
	conn := connect(t, lab, user)
	exec(t, conn, "create table public.shared (id int)", "insert into shared values (1)",
		"set role none", // which a user may do at any time
		"create table mine (id int)", "insert into mine values (1)", "grant select on mine to public",
		"create schema corner create table cornered (id int)", "create function f() returns int language sql as 'select 1'",
		"create temp table scratch (id int)", "select lo_create(4711)",
		"alter default privileges grant select on tables to app_owner",
		"set role app_owner", `grant select on shared to "`+user.name+`"`)

	revoke(t, lab, user)
	for _, table := range []string{"shared", "mine", "corner.cornered"} {
		require.Equal(t, "app_owner", ownerOf(t, lab, table), table)
	}
	_, err := conn.Exec(t.Context(), "select 1")
	var ended *pgconn.PgError
	require.ErrorAs(t, err, &ended)
	require.Equal(t, "57P01", ended.Code, "a session that is left over is ended: it would keep the rights of app_owner")
	var n int
	require.NoError(t, connect(t, lab, read(t, lab)).QueryRow(t.Context(), "select count(*) from mine").Scan(&n))
	require.Equal(t, 1, n, "its content is still there")
}

// That the case above is one: with less, the user stays.
func TestShorterStatementsLeaveAnOwnerBehind(t *testing.T) {
	lab := start(t)
	for name, statements := range map[string]struct{ revocation, code string }{
		"drop role": {`drop role if exists "{{name}}"`, "2BP01"},
		"Vault's":   {"", "42501"}, // which revoke rights that only the owner may revoke
	} {
		_, err := lab.Vault.Do(t.Context(), "PUT", "database/roles/app", map[string]any{
			"db_name": "app", "creation_statements": setup.Creation, "revocation_statements": statements.revocation,
		})
		require.NoError(t, err)
		user := read(t, lab)
		exec(t, connect(t, lab, user), "set role none", `create table "of `+name+`" (id int)`)
		_, err = lab.Vault.Do(t.Context(), "PUT", "sys/leases/revoke", map[string]any{"lease_id": user.lease, "sync": true})
		require.ErrorContains(t, err, statements.code, name)
	}
}

func TestUserThatSomebodyDroppedIsRevoked(t *testing.T) {
	lab := start(t)
	user := read(t, lab)
	require.NoError(t, lab.Postgres.Exec(t.Context(), `drop role "`+user.name+`"`))
	revoke(t, lab, user)
}

func TestRenewalMovesTheEnd(t *testing.T) {
	lab := start(t)
	user := read(t, lab)
	require.WithinDuration(t, time.Now().Add(time.Hour), validUntil(t, lab, user), time.Minute)
	_, err := lab.Vault.Do(t.Context(), "PUT", "sys/leases/renew", map[string]any{"lease_id": user.lease, "increment": 7200})
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(2*time.Hour), validUntil(t, lab, user), time.Minute)
}

func TestPasswordsAreNeverSent(t *testing.T) {
	lab := start(t)
	user := read(t, lab)
	for _, name := range []string{user.name, "vault"} {
		var stored string
		require.NoError(t, lab.Postgres.Do(t.Context(), func(conn *pgx.Conn) error {
			return conn.QueryRow(t.Context(), "select rolpassword from pg_authid where rolname = $1", name).Scan(&stored)
		}))
		require.Contains(t, stored, "SCRAM-SHA-256$", name)
	}
}

// A user is what Vault answers.
type user struct{ name, password, lease string }

func read(t *testing.T, lab *setup.Lab) user {
	t.Helper()
	var res *vaultserver.Response
	res, err := lab.Vault.Do(t.Context(), "GET", setup.Path, nil)
	require.NoError(t, err)
	return user{res.Data["username"].(string), res.Data["password"].(string), res.LeaseID}
}

// revoke requires that user, and its lease, are gone afterwards.
func revoke(t *testing.T, lab *setup.Lab, u user) {
	t.Helper()
	_, err := lab.Vault.Do(t.Context(), "PUT", "sys/leases/revoke", map[string]any{"lease_id": u.lease, "sync": true})
	require.NoError(t, err)
	users, err := lab.Users(t.Context())
	require.NoError(t, err)
	require.NotContains(t, users, u.name)
	_, err = lab.Vault.Do(t.Context(), "PUT", "sys/leases/lookup", map[string]any{"lease_id": u.lease})
	require.ErrorContains(t, err, "invalid lease")
}

func connect(t *testing.T, lab *setup.Lab, u user) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(lab.DSN())
	require.NoError(t, err)
	config.User, config.Password = u.name, u.password
	conn, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close(t.Context()) })
	return conn
}

func exec(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		_, err := conn.Exec(t.Context(), statement)
		require.NoError(t, err, statement)
	}
}

func ownerOf(t *testing.T, lab *setup.Lab, table string) (owner string) {
	t.Helper()
	conn := connect(t, lab, read(t, lab))
	require.NoError(t, conn.QueryRow(t.Context(), "select relowner::regrole::text from pg_class where oid = $1::text::regclass", table).Scan(&owner))
	return owner
}

func validUntil(t *testing.T, lab *setup.Lab, u user) (end time.Time) {
	t.Helper()
	require.NoError(t, lab.Postgres.Do(t.Context(), func(conn *pgx.Conn) error {
		return conn.QueryRow(t.Context(), "select rolvaliduntil from pg_roles where rolname = $1", u.name).Scan(&end)
	}))
	return end
}
