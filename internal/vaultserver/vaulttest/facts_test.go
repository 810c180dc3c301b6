package vaulttest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/internal/vaultserver"
	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
)

// What the library builds upon, shown on the server that its tests use.

func TestDynamicCredentials(t *testing.T) {
	t.Parallel()
	s, db := vaulttest.Server(t), pgtest.Database(t)
	e := vaulttest.Database(t, s, db)
	path := e.Role("app", vaulttest.Role{TTL: 30 * time.Second, MaxTTL: time.Minute})
	begin := time.Now()
	one := read(t, s, path)
	issued := time.Now()
	two := read(t, s, path)
	require.Equal(t, 30, one.LeaseDuration)
	require.True(t, one.Renewable)
	require.NotEqual(t, one.LeaseID, two.LeaseID)
	require.NotEqual(t, one.Data["username"], two.Data["username"], "each read makes a user")
	require.Len(t, e.Users(), 2)
	require.ElementsMatch(t, []string{one.LeaseID, two.LeaseID}, e.Leases("app"))

	conn := login(t, db, one)
	var until time.Time
	var owner string
	require.NoError(t, conn.QueryRow(t.Context(), `select rolvaliduntil, (select tableowner from pg_tables where tablename = 'orders')
		from pg_roles where rolname = session_user`).Scan(&until, &owner))
	require.Equal(t, db.Group, owner)
	end := 35 * time.Second // of the lease, and 5 s; whole seconds
	require.WithinRange(t, until, begin.Add(end-time.Second), issued.Add(end+time.Second))
	_, err := conn.Exec(t.Context(), "insert into orders (item, qty) values ('tea', 1)")
	require.NoError(t, err)

	e.RevokeAll("app")
	require.Empty(t, e.Users())
	require.Empty(t, e.Leases("app"))
	_, err = conn.Exec(t.Context(), "select 1")
	require.NoError(t, err, "the session outlives the user")
	_, err = conn.Exec(t.Context(), "select session_user")
	require.Error(t, err, "which this shows")
	require.Equal(t, http.StatusBadRequest, refusal(t, s.Root(), "PUT", "sys/leases/renew", map[string]any{"lease_id": one.LeaseID}).Status)
}

func TestRenewalIsCutAtMaxTTL(t *testing.T) {
	t.Parallel()
	s := vaulttest.Server(t)
	e := vaulttest.Database(t, s, pgtest.Database(t))
	path := e.Role("app", vaulttest.Role{TTL: time.Minute, MaxTTL: 2 * time.Minute})
	lease := map[string]any{"lease_id": read(t, s, path).LeaseID, "increment": 90}
	res := vaulttest.Do(t, s, "PUT", "sys/leases/renew", lease)
	require.Equal(t, 90, res.LeaseDuration, "increment counts from now")
	require.Empty(t, res.Warnings)

	lease["increment"] = 600
	res = vaulttest.Do(t, s, "PUT", "sys/leases/renew", lease)
	require.LessOrEqual(t, res.LeaseDuration, 120)
	require.Greater(t, res.LeaseDuration, 60)
	require.Len(t, res.Warnings, 1)
	require.Contains(t, res.Warnings[0], "exceeded the effective max_ttl")
}

func TestLeaseEnds(t *testing.T) {
	t.Parallel()
	s := vaulttest.Server(t)
	e := vaulttest.Database(t, s, pgtest.Database(t))
	lease := read(t, s, e.Role("app", vaulttest.Role{TTL: 2 * time.Second, MaxTTL: 2 * time.Second})).LeaseID
	require.Eventually(t, func() bool { return len(e.Users()) == 0 }, patience, 50*time.Millisecond)
	refused := refusal(t, s.Root(), "PUT", "sys/leases/renew", map[string]any{"lease_id": lease})
	require.Equal(t, http.StatusBadRequest, refused.Status)
	require.Contains(t, refused.Messages, "lease not found")
}

func TestStaticRole(t *testing.T) {
	t.Parallel()
	s, db := vaulttest.Server(t), pgtest.Database(t)
	e := vaulttest.Database(t, s, db)
	path := e.StaticRole("app", vaulttest.Static{Period: 24 * time.Hour})
	one := read(t, s, path)
	require.Empty(t, one.LeaseID)
	require.Zero(t, one.LeaseDuration)
	require.False(t, one.Renewable)
	require.Equal(t, db.Role("app"), one.Data["username"])
	require.EqualValues(t, 86400, one.Data["rotation_period"])
	require.InDelta(t, 86400, one.Data["ttl"], 60)
	rotated, err := time.Parse(time.RFC3339Nano, one.Data["last_vault_rotation"].(string))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), rotated, time.Minute)
	login(t, db, one)

	e.Rotate("app")
	two := read(t, s, path)
	require.NotEqual(t, one.Data["password"], two.Data["password"])
	require.NotEqual(t, one.Data["last_vault_rotation"], two.Data["last_vault_rotation"])
	login(t, db, two)

	weekly := read(t, s, e.StaticRole("weekly", vaulttest.Static{Schedule: "0 3 * * 0", Window: time.Hour}))
	require.Equal(t, "0 3 * * 0", weekly.Data["rotation_schedule"])
	require.EqualValues(t, 3600, weekly.Data["rotation_window"])
	require.NotContains(t, weekly.Data, "rotation_period")
}

func TestStaticRoleRotatesByItself(t *testing.T) {
	t.Parallel()
	s := vaulttest.Server(t)
	e := vaulttest.Database(t, s, pgtest.Database(t))
	path := e.StaticRole("app", vaulttest.Static{Period: 5 * time.Second})
	first := read(t, s, path).Data["last_vault_rotation"]
	require.Eventually(t, func() bool { return read(t, s, path).Data["last_vault_rotation"] != first },
		patience, 100*time.Millisecond)
}

func TestRootRotates(t *testing.T) {
	t.Parallel()
	s := vaulttest.Server(t)
	e := vaulttest.Database(t, s, pgtest.Database(t))
	path := e.Role("app", vaulttest.Role{TTL: time.Hour})
	e.RotateRoot()
	read(t, s, path)
}

func TestKeyValues(t *testing.T) {
	t.Parallel()
	s := vaulttest.Server(t)
	one, two := vaulttest.KV(t, s, 1), vaulttest.KV(t, s, 2)
	vaulttest.Do(t, s, "PUT", one+"/a", map[string]any{"n": 1.5, "ttl": "30s"})
	v1 := read(t, s, one+"/a")
	require.Equal(t, map[string]any{"n": 1.5, "ttl": "30s"}, v1.Data)
	require.Equal(t, 30, v1.LeaseDuration, "a hint from the field ttl")
	require.Empty(t, v1.LeaseID)

	put := func(cas int) *vaultserver.Error {
		_, err := s.Do(t.Context(), "PUT", two+"/data/a", map[string]any{"options": map[string]any{"cas": cas}, "data": map[string]any{"n": cas}})
		if err == nil {
			return nil
		}
		var refused *vaultserver.Error
		require.ErrorAs(t, err, &refused)
		return refused
	}
	require.Nil(t, put(0))
	require.Equal(t, http.StatusBadRequest, put(0).Status, "cas=0 only creates")
	require.Nil(t, put(1))
	require.Equal(t, http.StatusBadRequest, put(1).Status, "it must match")
	v2 := read(t, s, two+"/data/a").Data
	require.Equal(t, map[string]any{"n": 1.0}, v2["data"])
	require.EqualValues(t, 2, v2["metadata"].(map[string]any)["version"])

	vaulttest.Do(t, s, "DELETE", two+"/data/a", nil)
	refused := refusal(t, s.Root(), "GET", two+"/data/a", nil)
	require.Equal(t, http.StatusNotFound, refused.Status, "and the answer still has metadata")
}

func TestOwnedObjectsStopRevocation(t *testing.T) {
	t.Parallel()
	s, db := vaulttest.Server(t), pgtest.Database(t)
	admin := db.Admin()
	defer admin.Close(t.Context())
	_, err := admin.Exec(t.Context(), "grant create on schema public to "+db.Group)
	require.NoError(t, err)
	e := vaulttest.Database(t, s, db)
	create := `create role "{{name}}" login password '{{password}}' valid until '{{expiration}}' in role ` + db.Group
	revoke := func(lease string) error {
		_, err := s.Do(t.Context(), "PUT", "sys/leases/revoke", map[string]any{"lease_id": lease, "sync": true})
		return err
	}

	cred := read(t, s, e.Role("member", vaulttest.Role{TTL: time.Hour, Revocation: vaulttest.VaultsOwn, Creation: []string{
		create, `alter role "{{name}}" set role to ` + db.Group,
	}}))
	_, err = login(t, db, cred).Exec(t.Context(), "create table theirs (id int)")
	require.NoError(t, err)
	require.NoError(t, revoke(cred.LeaseID), "the group owns it")
	require.Empty(t, e.Users())

	for code, statements := range map[string][]string{"2BP01": nil, "42501": vaulttest.VaultsOwn} {
		cred := read(t, s, e.Role("owner", vaulttest.Role{TTL: time.Hour, Revocation: statements, Creation: []string{create}}))
		_, err = login(t, db, cred).Exec(t.Context(), "create table mine_"+code+" (id int)")
		require.NoError(t, err)
		require.ErrorContains(t, revoke(cred.LeaseID), code)
	}
	require.Len(t, e.Users(), 2)
}

func read(t *testing.T, s *vaultserver.Server, path string) *vaultserver.Response {
	t.Helper()
	return vaulttest.Do(t, s, "GET", path, nil)
}

func as(s *vaultserver.Server, token string) *vaultserver.Client {
	return &vaultserver.Client{Addr: s.Addr(), Token: token}
}

// refusal asks for what must be refused.
func refusal(t *testing.T, c *vaultserver.Client, method, path string, in any) *vaultserver.Error {
	t.Helper()
	_, err := c.Do(t.Context(), method, path, in)
	var refused *vaultserver.Error
	require.ErrorAs(t, err, &refused)
	return refused
}

// login opens a connection with a credential; the test's end closes it.
func login(t *testing.T, db *pgtest.DB, cred *vaultserver.Response) *pgx.Conn {
	t.Helper()
	cfg, err := pgx.ParseConfig(db.DSN)
	require.NoError(t, err)
	cfg.User, cfg.Password = cred.Data["username"].(string), cred.Data["password"].(string)
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close(t.Context()) })
	return conn
}
