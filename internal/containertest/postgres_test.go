package containertest_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/modules/postgres"

	"github.com/rekey-go/rekey/internal/containertest"
	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/source"
)

func TestMain(m *testing.M) {
	if err := containertest.Settle(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// TestManagedPoolInAContainer rotates the password of a user under a pool, as
// an integration test of a service would.
func TestManagedPoolInAContainer(t *testing.T) {
	dsn := startPostgres(t)
	admin, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	defer admin.Close(t.Context())
	_, err = admin.Exec(t.Context(), "create role app login password 'first'")
	require.NoError(t, err)

	var password atomic.Value
	password.Store("first")
	src := source.Func(func(context.Context) (source.Credential, error) {
		return source.Credential{Username: "app", Password: source.NewSecret(password.Load().(string))}, nil
	})
	db, err := pool.Open(t.Context(), dsn, src, nil)
	require.NoError(t, err)
	defer db.Close()

	clients := load.Start(t.Context(), 8, func(ctx context.Context) error {
		var user string
		return db.QueryRow(ctx, "select current_user").Scan(&user)
	})
	for _, next := range []string{"second", "third"} {
		version := db.Refresher().Current().Version
		_, err = admin.Exec(t.Context(), "alter role app password '"+next+"'")
		require.NoError(t, err)
		password.Store(next)
		require.NoError(t, db.Refresher().Refresh(t.Context()))
		require.NoError(t, db.Drained(t.Context(), version))
	}
	report := clients.Stop()
	require.NoError(t, report.Err)
	require.Zero(t, report.Failed)
	require.Positive(t, report.Statements)
}

// startPostgres runs PostgreSQL in a container until the test ends and returns
// the URL of its superuser.
func startPostgres(t *testing.T) (dsn string) {
	t.Helper()
	img := containertest.Postgres(t)
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
