package orders_test

import (
	"testing"

	"github.com/rekey-go/rekey/examples/orders"
	"github.com/rekey-go/rekey/examples/orders/orderstest"
	"github.com/rekey-go/rekey/pool"
)

func TestPostgres(t *testing.T) {
	orderstest.Pool(t, func(_ *testing.T, db *pool.ManagedPool) orders.Store { return orders.NewPostgres(db) })
}
