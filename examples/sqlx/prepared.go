package sqlxorders

import (
	"context"
	"errors"

	"github.com/jmoiron/sqlx"

	"github.com/rekey-go/rekey/examples/orders"
	"github.com/rekey-go/rekey/pool"
)

// Prepared is a [Store] with statements that are prepared once and held for
// life, across all connections and users that come and go.
type Prepared struct {
	db          *sqlx.DB
	take, note  *sqlx.NamedStmt
	get, latest *sqlx.Stmt
}

// Prepare returns a Prepared on db. Close it before db; if Prepare fails, db alone.
func Prepare(ctx context.Context, db *pool.ManagedDB) (*Prepared, error) {
	p := &Prepared{db: sqlx.NewDb(db.DB, "pgx")}
	var errs [4]error
	p.take, errs[0] = p.db.PrepareNamedContext(ctx, take)
	p.note, errs[1] = p.db.PrepareNamedContext(ctx, note)
	p.get, errs[2] = p.db.PreparexContext(ctx, get)
	p.latest, errs[3] = p.db.PreparexContext(ctx, latest)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	return p, nil
}

// Close closes the statements.
func (p *Prepared) Close() error {
	return errors.Join(p.take.Close(), p.note.Close(), p.get.Close(), p.latest.Close())
}

// Place takes from the stock and notes the order in one transaction.
func (p *Prepared) Place(ctx context.Context, item string, quantity int) (orders.Order, error) {
	var placed orders.Order
	err := transact(ctx, p.db, func(tx *sqlx.Tx) error {
		wanted := orders.Order{Item: item, Quantity: quantity}
		if err := took(tx.NamedStmtContext(ctx, p.take).ExecContext(ctx, wanted)); err != nil {
			return err
		}
		return tx.NamedStmtContext(ctx, p.note).GetContext(ctx, &placed, wanted)
	})
	return placed, err
}

// Get reads one order.
func (p *Prepared) Get(ctx context.Context, id int64) (orders.Order, error) {
	var order orders.Order
	err := p.get.GetContext(ctx, &order, id)
	return order, found(err)
}

// Latest reads the newest orders.
func (p *Prepared) Latest(ctx context.Context, limit int) (all []orders.Order, err error) {
	err = p.latest.SelectContext(ctx, &all, limit)
	return all, err
}
