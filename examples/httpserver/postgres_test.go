package main

import (
	"crypto/rand"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/stretchr/testify/require"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/modules/postgres"

	"github.com/rekey-go/rekey/internal/containertest"
	"github.com/rekey-go/rekey/pool/pooltest"
	"github.com/rekey-go/rekey/refresh"
)

// The service on a PostgreSQL in a container, with its credential in a file.
func TestPostgresContainer(t *testing.T) {
	db, admin := startPostgres(t, "../orders/schema.sql")
	srv := pooltest.On(t, admin.String(), "")
	file := srv.Store().File(t)
	s := start(t, config{dsn: srv.DSN() + "&pool_max_conns=8", credentialFile: file})
	password, _ := admin.User.Password()
	secrets := []string{password}

	t.Run("rotations", func(t *testing.T) {
		const pairs = 10 // of a new password and a new user
		secrets = append(secrets, current(t, srv))
		clients := s.traffic(t, 16)
		for range pairs {
			srv.RotatePassword(t, s)
			secrets = append(secrets, current(t, srv))
			srv.RotateUser(t, s)
			secrets = append(secrets, current(t, srv))
		}
		requests := clients.noFailures(t)
		t.Logf("%d rotations of passwords and users", 2*pairs)

		require.EqualValues(t, 1+2*pairs, s.metric(t, `rekey_credential_generation{rekey_credential_name="orders"}`))
		require.EqualValues(t, 1, s.metric(t, `rekey_pool_status{rekey_credential_name="orders",rekey_pool_state="fresh"}`))
		require.EqualValues(t, requests/3, s.metric(t, `http_server_request_duration_seconds_count{http_request_method="POST",http_response_status_code="201",http_route="/orders"}`))
		s.keeps(t, secrets)
	})

	t.Run("store away", func(t *testing.T) {
		require.NoError(t, os.Rename(file, file+".away"))
		require.Eventually(t, func() bool { return s.Health().State == refresh.Degraded }, patience, tick)
		status, answer := s.get(t, "/readyz")
		require.Equal(t, http.StatusOK, status, "it serves")
		require.Contains(t, answer, `{"state":"degraded"`)
		require.NoError(t, s.round(t.Context()))
		require.NoError(t, os.Rename(file+".away", file))
		require.Eventually(t, func() bool { return s.Health().State == refresh.Fresh }, patience, tick)
	})

	t.Run("database away", func(t *testing.T) {
		require.NoError(t, db.Stop(t.Context(), nil))
		s.becomes(t, "/readyz", http.StatusServiceUnavailable)
		status, _ := s.get(t, "/healthz")
		require.Equal(t, http.StatusOK, status, "a new start would not help")
		status, answer, err := s.do(t.Context(), "POST", "/orders", `{"item": "tea", "quantity": 1}`)
		require.NoError(t, err)
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.JSONEq(t, `{"error": "try again later"}`, answer, "and nothing of what is inside")

		require.NoError(t, db.Start(t.Context()))
		s.becomes(t, "/readyz", http.StatusOK)
		require.NoError(t, s.round(t.Context()))
		s.keeps(t, secrets)
	})
	require.NoError(t, s.stop())
}

// current returns the password that the store holds now.
func current(t *testing.T, srv *pooltest.Server) string {
	t.Helper()
	c, err := srv.Store().Credential(t.Context())
	require.NoError(t, err)
	return c.Password.Reveal()
}

// startPostgres runs PostgreSQL in a container until the test ends, with an
// initialised database, and returns the URL of its superuser. It listens where
// it did after a restart.
func startPostgres(t *testing.T, script string) (c *postgres.PostgresContainer, admin *url.URL) {
	t.Helper()
	password := rand.Text()
	c, err := postgres.Run(t.Context(), containertest.Postgres(t),
		postgres.WithDatabase("shop"), postgres.WithUsername("owner"), postgres.WithPassword(password),
		postgres.WithInitScripts(script), postgres.BasicWaitStrategies(),
		testcontainers.WithHostConfigModifier(func(host *container.HostConfig) {
			host.PortBindings = network.PortMap{network.MustParsePort("5432/tcp"): {
				{HostIP: netip.IPv4Unspecified(), HostPort: freePort(t)},
			}}
		}))
	testcontainers.CleanupContainer(t, c)
	require.NoError(t, err)
	endpoint, err := c.PortEndpoint(t.Context(), "5432/tcp", "")
	require.NoError(t, err)
	return c, &url.URL{
		Scheme: "postgres", User: url.UserPassword("owner", password), Host: endpoint, Path: "/shop", RawQuery: "sslmode=disable",
	}
}

// freePort is below those that systems give to outgoing connections, so that
// none of them takes it while the container is stopped.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(20000 + mathrand.IntN(12000))
		if l, err := net.Listen("tcp", ":"+port); err == nil {
			require.NoError(t, l.Close())
			return port
		}
	}
	require.Fail(t, "no port is free")
	return ""
}
