// Package entorders is the shop on ent: schema is written by hand, package shop
// is made of it.
//
// Give ent the *sql.DB of a [pool.ManagedDB] by entsql.OpenDB, and keep the
// client for life; shop.Open would log in by itself, and no more once the
// password has changed. Close the ManagedDB and not the client, which would close
// the *sql.DB below it. Nothing in ent belongs to a connection, and the server's
// errors are *pgconn.PgError below its own.
//
// Do not run client.Schema.Create as the service: tables belong to the role that
// owns them, not to a user who comes and goes.
package entorders

import (
	"context"
	"errors"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"

	"github.com/rekey-go/rekey/examples/ent/shop"
	"github.com/rekey-go/rekey/examples/ent/shop/item"
	"github.com/rekey-go/rekey/examples/ent/shop/order"
	"github.com/rekey-go/rekey/examples/orders"
	"github.com/rekey-go/rekey/pool"
)

//go:generate go run -mod=mod entgo.io/ent/cmd/ent@v0.14.5 generate --target ./shop ./schema

// A Store is an [orders.Store].
type Store struct{ client *shop.Client }

// New returns a Store on db, which stays the caller's to close.
func New(db *pool.ManagedDB) *Store {
	return &Store{shop.NewClient(shop.Driver(entsql.OpenDB(dialect.Postgres, db.DB)))}
}

// Place takes from the stock and notes the order in one transaction.
func (s *Store) Place(ctx context.Context, name string, quantity int) (orders.Order, error) {
	var placed *shop.Order
	err := transact(ctx, s.client, func(tx *shop.Tx) error {
		took, err := tx.Item.Update().Where(item.ID(name), item.StockGTE(quantity)).AddStock(-quantity).Save(ctx)
		if err != nil {
			return err
		}
		if took == 0 {
			return orders.ErrSoldOut
		}
		placed, err = tx.Order.Create().SetItem(name).SetQuantity(quantity).Save(ctx)
		return err
	})
	if err != nil {
		return orders.Order{}, err
	}
	return convert(placed), nil
}

// Get reads one order.
func (s *Store) Get(ctx context.Context, id int64) (orders.Order, error) {
	found, err := s.client.Order.Get(ctx, id)
	if shop.IsNotFound(err) {
		return orders.Order{}, orders.ErrNotFound
	}
	if err != nil {
		return orders.Order{}, err
	}
	return convert(found), nil
}

// Latest reads the newest orders.
func (s *Store) Latest(ctx context.Context, limit int) ([]orders.Order, error) {
	found, err := s.client.Order.Query().Order(order.ByID(entsql.OrderDesc())).Limit(limit).All(ctx)
	latest := make([]orders.Order, len(found))
	for i, o := range found {
		latest[i] = convert(o)
	}
	return latest, err
}

func convert(o *shop.Order) orders.Order {
	return orders.Order{ID: o.ID, Item: o.Item, Quantity: o.Quantity, Placed: o.Placed}
}

// transact commits what f does, unless it fails.
func transact(ctx context.Context, client *shop.Client, f func(*shop.Tx) error) error {
	tx, err := client.Tx(ctx)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}
