package sqlcorders_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/examples/orders"
	"github.com/rekey-go/rekey/examples/orders/orderstest"
	sqlcorders "github.com/rekey-go/rekey/examples/sqlc"
	"github.com/rekey-go/rekey/pool"
)

func TestStore(t *testing.T) {
	orderstest.Pool(t, func(t *testing.T, db *pool.ManagedPool) orders.Store { return refusing(t, sqlcorders.New(db)) })
}

func TestPrepared(t *testing.T) {
	orderstest.DB(t, func(t *testing.T, db *pool.ManagedDB) orders.Store {
		store, err := sqlcorders.Prepare(t.Context(), db)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, store.Close()) })
		return refusing(t, store)
	})
}

// refusing sees that the server's errors come up as they are.
func refusing(t *testing.T, store orders.Store) orders.Store {
	t.Helper()
	_, err := store.Place(t.Context(), "tea", 0)
	var refused *pgconn.PgError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "23514", refused.Code)
	return store
}
