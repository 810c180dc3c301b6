package sqlcorders

import (
	"context"
	"database/sql"
	"errors"

	"github.com/rekey-go/rekey/examples/orders"
	"github.com/rekey-go/rekey/examples/sqlc/prepared"
	"github.com/rekey-go/rekey/pool"
)

// Prepared is an [orders.Store] with statements that are prepared once and held
// for life, across all connections and users that come and go.
type Prepared struct {
	db      *pool.ManagedDB
	queries *prepared.Queries
}

// Prepare returns a Prepared on db. Close it before db; if Prepare fails, db alone.
func Prepare(ctx context.Context, db *pool.ManagedDB) (*Prepared, error) {
	queries, err := prepared.Prepare(ctx, db)
	if err != nil {
		return nil, err
	}
	return &Prepared{db, queries}, nil
}

// Close closes the statements.
func (p *Prepared) Close() error { return p.queries.Close() }

// Place takes from the stock and notes the order in one transaction.
func (p *Prepared) Place(ctx context.Context, item string, quantity int) (orders.Order, error) {
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return orders.Order{}, err
	}
	defer func() { _ = tx.Rollback() }() // of no effect after Commit
	q := p.queries.WithTx(tx)
	took, err := q.TakeItem(ctx, prepared.TakeItemParams{Name: item, Quantity: quantity})
	if err != nil {
		return orders.Order{}, err
	}
	if took == 0 {
		return orders.Order{}, orders.ErrSoldOut
	}
	placed, err := q.NoteOrder(ctx, prepared.NoteOrderParams{Item: item, Quantity: quantity})
	if err != nil {
		return orders.Order{}, err
	}
	return orders.Order(placed), tx.Commit()
}

// Get reads one order.
func (p *Prepared) Get(ctx context.Context, id int64) (orders.Order, error) {
	order, err := p.queries.GetOrder(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		err = orders.ErrNotFound
	}
	return orders.Order(order), err
}

// Latest reads the newest orders.
func (p *Prepared) Latest(ctx context.Context, limit int) ([]orders.Order, error) {
	found, err := p.queries.LatestOrders(ctx, int64(limit))
	latest := make([]orders.Order, len(found))
	for i, o := range found {
		latest[i] = orders.Order(o)
	}
	return latest, err
}
