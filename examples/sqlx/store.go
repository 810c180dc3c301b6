// Package sqlxorders is the shop on sqlx.
//
// Wrap the *sql.DB of a [pool.ManagedDB] in sqlx.NewDb and keep it; sqlx.Connect
// would log in by itself, and no more once the password has changed. The second
// argument names the driver, from which sqlx knows its placeholders.
//
// Statements and named statements that were prepared on the DB may be held for
// life: database/sql prepares them anew on each connection, and a transaction
// takes them by Stmtx and NamedStmt ([Prepared]). What was prepared on a
// transaction or on a Connx ends with it. Errors are the driver's own.
package sqlxorders

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jmoiron/sqlx"

	"github.com/rekey-go/rekey/examples/orders"
	"github.com/rekey-go/rekey/pool"
)

const (
	take   = "update items set stock = stock - :quantity where name = :item and stock >= :quantity"
	note   = "insert into orders (item, quantity) values (:item, :quantity) returning id, item, quantity, placed_at as placed"
	get    = "select id, item, quantity, placed_at as placed from orders where id = $1"
	latest = "select id, item, quantity, placed_at as placed from orders order by id desc limit $1"
)

// A Store is an [orders.Store].
type Store struct{ db *sqlx.DB }

// New returns a Store on db, which stays the caller's to close.
func New(db *pool.ManagedDB) *Store { return &Store{sqlx.NewDb(db.DB, "pgx")} }

// Place takes from the stock and notes the order in one transaction.
func (s *Store) Place(ctx context.Context, item string, quantity int) (orders.Order, error) {
	var placed orders.Order
	err := transact(ctx, s.db, func(tx *sqlx.Tx) error {
		wanted := orders.Order{Item: item, Quantity: quantity}
		if err := took(tx.NamedExecContext(ctx, take, wanted)); err != nil {
			return err
		}
		insert, args, err := tx.BindNamed(note, wanted)
		if err != nil {
			return err
		}
		return tx.GetContext(ctx, &placed, insert, args...)
	})
	return placed, err
}

// Get reads one order.
func (s *Store) Get(ctx context.Context, id int64) (orders.Order, error) {
	var order orders.Order
	err := s.db.GetContext(ctx, &order, get, id)
	return order, found(err)
}

// Latest reads the newest orders.
func (s *Store) Latest(ctx context.Context, limit int) (all []orders.Order, err error) {
	err = s.db.SelectContext(ctx, &all, latest, limit)
	return all, err
}

// transact commits what f does, unless it fails.
func transact(ctx context.Context, db *sqlx.DB, f func(*sqlx.Tx) error) error {
	tx, err := db.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // of no effect after Commit
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// took says whether an update has found what it takes from.
func took(result sql.Result, err error) error {
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); n > 0 || err != nil {
		return err
	}
	return orders.ErrSoldOut
}

func found(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return orders.ErrNotFound
	}
	return err
}
