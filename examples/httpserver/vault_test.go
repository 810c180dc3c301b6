package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/exec"
	"github.com/testcontainers/testcontainers-go/modules/vault"

	"github.com/rekey-go/rekey/examples/orders"
	"github.com/rekey-go/rekey/internal/containertest"
	"github.com/rekey-go/rekey/internal/vaultserver"
)

// The service on a PostgreSQL in one container, with users that a Vault in
// another makes and drops every few seconds. Both are set up by the files of
// examples/vault.
func TestVaultContainer(t *testing.T) {
	db, admin := startPostgres(t, "../vault/setup/postgres.sql")
	admin.Path = "/app"
	ip, err := db.ContainerIP(t.Context())
	require.NoError(t, err)
	password := rand.Text()
	do(t, admin, "alter role vault password '"+password+"'; set role app_owner; "+orders.Schema)
	root := startVault(t, []string{
		"DATABASE=" + ip + ":5432/app?sslmode=disable", "PASSWORD=" + password, "TTL=5s", "MAX_TTL=15s",
	})

	dsn := *admin
	dsn.User = nil
	roleID, secretID := appRole(t, root)
	secretFile := filepath.Join(t.TempDir(), "secret-id")
	require.NoError(t, os.WriteFile(secretFile, []byte(secretID), 0o600))
	t.Setenv("VAULT_ADDR", root.Addr)
	s := start(t, config{
		dsn: dsn.String() + "&pool_max_conns=8", vaultRole: "database/creds/app", vaultRoleID: roleID, vaultSecretIDFile: secretFile,
	})

	most := watchUsers(t, admin)
	clients := s.traffic(t, 4)
	require.Eventually(t, func() bool { return s.Health().Generation > 5 }, 2*time.Minute, tick)
	generations := s.Health().Generation
	clients.noFailures(t)
	require.LessOrEqual(t, s.metric(t, `rekey_credential_lifetime_seconds{rekey_credential_name="orders"}`), 5.0)
	require.LessOrEqual(t, s.metric(t, `rekey_lease_live{rekey_credential_name="orders"}`), 2.0)
	s.keeps(t, []string{root.Token, secretID, password})

	require.NoError(t, s.stop())
	nobodyIsLeft(t, admin, root)
	t.Logf("%d users one after the other, at most %d at a time, none left", generations, most())
	require.LessOrEqual(t, most(), int64(2))

	// With a token that somebody else keeps.
	tokenFile := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(tokenFile, []byte(root.Token), 0o600))
	s = start(t, config{dsn: dsn.String(), vaultRole: "database/creds/app", vaultTokenFile: tokenFile})
	require.NoError(t, s.round(t.Context()))
	s.keeps(t, []string{root.Token})
	require.NoError(t, s.stop())
	nobodyIsLeft(t, admin, root)
}

// nobodyIsLeft fails the test if there is a user or a lease.
func nobodyIsLeft(t *testing.T, admin *url.URL, root *vaultserver.Client) {
	t.Helper()
	users, err := users(t.Context(), admin)
	require.NoError(t, err)
	require.Zero(t, users, "of Vault in the database")
	_, err = root.Do(t.Context(), "LIST", "sys/leases/lookup/database/creds/app/", nil)
	var none *vaultserver.Error
	require.ErrorAs(t, err, &none, "no leases")
	require.Equal(t, http.StatusNotFound, none.Status)
}

// startVault runs Vault in a container until the test ends, set up by setup.sh
// with these variables, and returns a client of its administrator.
func startVault(t *testing.T, env []string) *vaultserver.Client {
	t.Helper()
	token := rand.Text()
	c, err := vault.Run(t.Context(), containertest.Vault(t), vault.WithToken(token),
		vault.WithInitCommand("token lookup"), // waits until there is one
		testcontainers.WithFiles(testcontainers.ContainerFile{HostFilePath: "../vault/setup", ContainerFilePath: "/", FileMode: 0o755}))
	testcontainers.CleanupContainer(t, c)
	require.NoError(t, err)
	status, out, err := c.Exec(t.Context(), []string{"/setup/setup.sh"}, exec.WithEnv(env), exec.Multiplexed())
	require.NoError(t, err)
	text, err := io.ReadAll(out)
	require.NoError(t, err)
	require.Zero(t, status, "%s", text)
	addr, err := c.HttpHostAddress(t.Context())
	require.NoError(t, err)
	return &vaultserver.Client{Addr: addr, Token: token}
}

// appRole returns what the service logs in to Vault with.
func appRole(t *testing.T, root *vaultserver.Client) (roleID, secretID string) {
	t.Helper()
	role, err := root.Do(t.Context(), "GET", "auth/approle/role/app/role-id", nil)
	require.NoError(t, err)
	secret, err := root.Do(t.Context(), "PUT", "auth/approle/role/app/secret-id", nil)
	require.NoError(t, err)
	return role.Data["role_id"].(string), secret.Data["secret_id"].(string)
}

// watchUsers counts the users that there are until the test ends, and returns
// the most there have been at a time.
func watchUsers(t *testing.T, admin *url.URL) (most func() int64) {
	var peak atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		beat := time.NewTicker(100 * time.Millisecond)
		defer beat.Stop()
		for {
			n, err := users(ctx, admin)
			if err != nil {
				ended <- err
				return
			}
			peak.Store(max(peak.Load(), n))
			select {
			case <-ctx.Done():
				ended <- ctx.Err()
				return
			case <-beat.C:
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("counting users: %v", err)
		}
	})
	return peak.Load
}

// users counts those that Vault has made.
func users(ctx context.Context, admin *url.URL) (n int64, err error) {
	conn, err := pgx.Connect(ctx, admin.String())
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = conn.QueryRow(ctx, "select count(*) from pg_roles where rolname like 'app-%'").Scan(&n)
	return n, err
}

// do runs statements as the administrator.
func do(t *testing.T, admin *url.URL, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), admin.String())
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	_, err = conn.Exec(t.Context(), sql)
	require.NoError(t, err)
}
