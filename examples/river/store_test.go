package riverorders_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/examples/orders"
	"github.com/rekey-go/rekey/examples/orders/orderstest"
	riverorders "github.com/rekey-go/rekey/examples/river"
	"github.com/rekey-go/rekey/pool"
)

func TestStore(t *testing.T) {
	orderstest.Pool(t, func(t *testing.T, db *pool.ManagedPool) orders.Store {
		migrateAsOwner(t, db)
		jobs, log := start(t, db, db, river.Config{PollOnly: true})
		t.Cleanup(func() { require.Empty(t, log.all()) })
		return riverorders.New(db, jobs)
	})
}

// migrateAsOwner migrates through a pool beside db that acts as the owner of
// the tables.
func migrateAsOwner(t *testing.T, db *pool.ManagedPool) {
	t.Helper()
	config, err := pgxpool.ParseConfig(db.Config().ConnString())
	require.NoError(t, err)
	var owner string
	require.NoError(t, db.QueryRow(t.Context(), "select tableowner from pg_tables where tablename = 'orders'").Scan(&owner))
	config.ConnConfig.RuntimeParams["role"] = owner
	acting, err := pool.New(t.Context(), config, db.Refresher(), nil)
	require.NoError(t, err)
	defer acting.Close()
	require.NoError(t, riverorders.Migrate(t.Context(), acting.Pool))
}
