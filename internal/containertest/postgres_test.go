package containertest

import (
	"fmt"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/modules/postgres"
)

func TestMain(m *testing.M) {
	if err := settle(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestPostgresInAContainer(t *testing.T) {
	conn, err := pgx.Connect(t.Context(), startPostgres(t))
	require.NoError(t, err)
	defer conn.Close(t.Context())

	var one int
	require.NoError(t, conn.QueryRow(t.Context(), "select 1").Scan(&one))
	require.Equal(t, 1, one)
	var verifier string
	require.NoError(t, conn.QueryRow(t.Context(), "select rolpassword from pg_authid where rolname = current_user").Scan(&verifier))
	require.Contains(t, verifier, "SCRAM-SHA-256$")
}

// startPostgres runs PostgreSQL in a container until the test ends and returns
// the URL of its superuser.
func startPostgres(t *testing.T) (dsn string) {
	t.Helper()
	img := needImage(t)
	const user, password = "owner", "it's a secret"
	began := time.Now()
	c, err := postgres.Run(t.Context(), img,
		postgres.WithUsername(user), postgres.WithPassword(password), postgres.WithDatabase("shop"),
		postgres.BasicWaitStrategies())
	testcontainers.CleanupContainer(t, c)
	require.NoError(t, err)
	t.Logf("%s answers after %v", img, time.Since(began).Round(time.Millisecond))

	// Its ConnectionString would not escape the password.
	endpoint, err := c.PortEndpoint(t.Context(), "5432/tcp", "")
	require.NoError(t, err)
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(user, password), Host: endpoint, Path: "/shop",
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// needImage fails the test where there is no Docker or no image.
func needImage(t *testing.T) string {
	t.Helper()
	if err := docker(t.Context(), "info"); err != nil {
		t.Fatalf("the container tests need Docker; run as root: internal/containertest/setup.sh\n%v", err)
	}
	img, err := image(t.Context())
	require.NoError(t, err)
	return img
}
