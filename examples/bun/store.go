// Package bunorders is the shop on bun.
//
// Give bun the *sql.DB of a [pool.ManagedDB], which it keeps for life; bun.DB's
// Close would close it. Statements that were prepared on the DB may be held as
// long: database/sql prepares them anew on each connection. Errors are the
// driver's own.
//
// bun writes arguments into the SQL, so that no two statements are alike, and
// pgx would prepare each on the server. Have it leave that, before [pool.Postgres]
// takes the configuration:
//
//	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
package bunorders

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/rekey-go/rekey/examples/orders"
	"github.com/rekey-go/rekey/pool"
)

// An item is a row of the table items.
type item struct {
	Name  string `bun:",pk"`
	Stock int
}

// An order is a row of the table orders.
type order struct {
	ID       int64 `bun:",pk,autoincrement"`
	Item     string
	Quantity int
	Placed   time.Time `bun:"placed_at,nullzero,default:now()"` // read back when it has been made
}

// A Store is an [orders.Store].
type Store struct{ db *bun.DB }

// New returns a Store on db, which stays the caller's to close.
func New(db *pool.ManagedDB) *Store { return &Store{bun.NewDB(db.DB, pgdialect.New())} }

// Place takes from the stock and notes the order in one transaction.
func (s *Store) Place(ctx context.Context, name string, quantity int) (orders.Order, error) {
	placed := order{Item: name, Quantity: quantity}
	err := s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		result, err := tx.NewUpdate().Model((*item)(nil)).Set("stock = stock - ?", quantity).
			Where("name = ?", name).Where("stock >= ?", quantity).Exec(ctx)
		if err != nil {
			return err
		}
		if took, err := result.RowsAffected(); err != nil {
			return err
		} else if took == 0 {
			return orders.ErrSoldOut
		}
		_, err = tx.NewInsert().Model(&placed).Exec(ctx)
		return err
	})
	return orders.Order(placed), err
}

// Get reads one order.
func (s *Store) Get(ctx context.Context, id int64) (orders.Order, error) {
	var found order
	err := s.db.NewSelect().Model(&found).Where("id = ?", id).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return orders.Order{}, orders.ErrNotFound
	}
	return orders.Order(found), err
}

// Latest reads the newest orders.
func (s *Store) Latest(ctx context.Context, limit int) ([]orders.Order, error) {
	var found []order
	err := s.db.NewSelect().Model(&found).Order("id DESC").Limit(int64(limit)).Scan(ctx)
	latest := make([]orders.Order, len(found))
	for i, o := range found {
		latest[i] = orders.Order(o)
	}
	return latest, err
}
