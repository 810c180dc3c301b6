// Package sqlcorders is the shop on sqlc: query.sql is written by hand, package
// query is made of it.
//
// What sqlc makes for pgx takes a [pool.ManagedPool] as it is, so that calls
// that need a login wait for a rotation to be over. It holds nothing that
// belongs to a connection, and its errors are the driver's own.
//
// For database/sql it can make code that prepares each query and holds the
// statement for life ([Prepared]). That survives rotations, as database/sql
// prepares it anew on each connection; with pgx, which prepares by itself, there
// is little to gain.
package sqlcorders

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/examples/orders"
	"github.com/rekey-go/rekey/examples/sqlc/query"
	"github.com/rekey-go/rekey/pool"
)

//go:generate env CGO_ENABLED=0 go run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1 generate

// A Store is an [orders.Store].
type Store struct {
	db      *pool.ManagedPool
	queries *query.Queries
}

// New returns a Store on db, which stays the caller's to close.
func New(db *pool.ManagedPool) *Store { return &Store{db, query.New(db)} }

// Place takes from the stock and notes the order in one transaction.
func (s *Store) Place(ctx context.Context, item string, quantity int) (orders.Order, error) {
	var placed query.Order
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		q := s.queries.WithTx(tx)
		took, err := q.TakeItem(ctx, query.TakeItemParams{Name: item, Quantity: quantity})
		if err != nil {
			return err
		}
		if took == 0 {
			return orders.ErrSoldOut
		}
		placed, err = q.NoteOrder(ctx, query.NoteOrderParams{Item: item, Quantity: quantity})
		return err
	})
	return orders.Order(placed), err
}

// Get reads one order.
func (s *Store) Get(ctx context.Context, id int64) (orders.Order, error) {
	order, err := s.queries.GetOrder(ctx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		err = orders.ErrNotFound
	}
	return orders.Order(order), err
}

// Latest reads the newest orders.
func (s *Store) Latest(ctx context.Context, limit int) ([]orders.Order, error) {
	found, err := s.queries.LatestOrders(ctx, int64(limit))
	latest := make([]orders.Order, len(found))
	for i, o := range found {
		latest[i] = orders.Order(o)
	}
	return latest, err
}
