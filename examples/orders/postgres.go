package orders

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/pool"
)

// Postgres is a Store on a managed pool. It holds nothing that changes with the
// credential: neither it nor its callers know of rotations.
type Postgres struct{ db *pool.ManagedPool }

// NewPostgres returns a Store on db.
func NewPostgres(db *pool.ManagedPool) *Postgres { return &Postgres{db} }

// Place takes from the stock and notes the order in one transaction.
func (p *Postgres) Place(ctx context.Context, item string, quantity int) (Order, error) {
	var order Order
	err := pgx.BeginFunc(ctx, p.db, func(tx pgx.Tx) error {
		took, err := tx.Exec(ctx, "update items set stock = stock - $2 where name = $1 and stock >= $2", item, quantity)
		if err != nil {
			return err
		}
		if took.RowsAffected() == 0 {
			return ErrSoldOut
		}
		rows, err := tx.Query(ctx, "insert into orders (item, quantity) values ($1, $2) returning id, item, quantity, placed_at", item, quantity)
		if err != nil {
			return err
		}
		order, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Order])
		return err
	})
	return order, err
}

// Get reads one order.
func (p *Postgres) Get(ctx context.Context, id int64) (Order, error) {
	rows, err := p.db.Query(ctx, "select id, item, quantity, placed_at from orders where id = $1", id)
	if err != nil {
		return Order{}, err
	}
	order, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Order])
	if errors.Is(err, pgx.ErrNoRows) {
		return Order{}, ErrNotFound
	}
	return order, err
}

// Latest reads the newest orders.
func (p *Postgres) Latest(ctx context.Context, limit int) ([]Order, error) {
	rows, err := p.db.Query(ctx, "select id, item, quantity, placed_at from orders order by id desc limit $1", limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Order])
}
