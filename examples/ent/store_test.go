package entorders_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	entorders "github.com/rekey-go/rekey/examples/ent"
	"github.com/rekey-go/rekey/examples/ent/shop"
	"github.com/rekey-go/rekey/examples/orders"
	"github.com/rekey-go/rekey/examples/orders/orderstest"
	"github.com/rekey-go/rekey/pool"
)

func TestStore(t *testing.T) {
	orderstest.DB(t, func(t *testing.T, db *pool.ManagedDB) orders.Store {
		store := entorders.New(db)
		_, err := store.Place(t.Context(), "tea", 0)
		require.True(t, shop.IsConstraintError(err))
		var refused *pgconn.PgError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, "23514", refused.Code)
		return store
	})
}
