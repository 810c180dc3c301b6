// Package gormorders is the shop on GORM.
//
// Give GORM the *sql.DB of a [pool.ManagedDB] (db.DB, not db itself), which it
// keeps for life: with a DSN it would log in by itself, and no more once the
// password has changed. Turn its ping off: where that fails, GORM closes what it
// was given. The server's errors are *pgconn.PgError below GORM's own.
//
// Leave PrepareStmt off. It survives rotations, but pgx prepares statements by
// itself; GORM prepares those of a transaction in each one again, and can lock up
// (see prepared_test.go). Run no AutoMigrate as the service: tables belong to the
// role that owns them, not to a user who comes and goes.
package gormorders

import (
	"context"
	"errors"
	"time"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/rekey-go/rekey/examples/orders"
	"github.com/rekey-go/rekey/pool"
)

// An item is a row of the table items.
type item struct {
	Name  string `gorm:"primaryKey"`
	Stock int
}

// An order is a row of the table orders.
type order struct {
	ID       int64
	Item     string
	Quantity int
	Placed   time.Time `gorm:"column:placed_at;default:now()"` // read back when it has been made
}

// A Store is an [orders.Store].
type Store struct{ db *gorm.DB }

// New returns a Store on db, which stays the caller's to close.
func New(db *pool.ManagedDB, config gorm.Config) (*Store, error) {
	config.DisableAutomaticPing = true
	config.TranslateError = true // for gorm.ErrDuplicatedKey and the like
	g, err := gorm.Open(postgres.New(postgres.Config{Conn: db.DB}), &config)
	if err != nil {
		return nil, err
	}
	return &Store{g}, nil
}

// Place takes from the stock and notes the order in one transaction.
func (s *Store) Place(ctx context.Context, name string, quantity int) (orders.Order, error) {
	placed := order{Item: name, Quantity: quantity}
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		took, err := gorm.G[item](tx).Where("name = ? AND stock >= ?", name, quantity).
			Update(ctx, "stock", gorm.Expr("stock - ?", quantity))
		if err != nil {
			return err
		}
		if took == 0 {
			return orders.ErrSoldOut
		}
		return gorm.G[order](tx).Create(ctx, &placed)
	})
	return orders.Order(placed), err
}

// Get reads one order.
func (s *Store) Get(ctx context.Context, id int64) (orders.Order, error) {
	found, err := gorm.G[order](s.db).Where("id = ?", id).Take(ctx)
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return orders.Order{}, orders.ErrNotFound
	}
	return orders.Order(found), err
}

// Latest reads the newest orders.
func (s *Store) Latest(ctx context.Context, limit int) ([]orders.Order, error) {
	found, err := gorm.G[order](s.db).Order("id DESC").Limit(limit).Find(ctx)
	latest := make([]orders.Order, len(found))
	for i, o := range found {
		latest[i] = orders.Order(o)
	}
	return latest, err
}
