// Package orders is what the example services do: a shop with a stock, whose
// orders take from it. Its schema and its Store are the same whichever library
// speaks to the database; Postgres is the one on pgx alone, and the folders
// beside this one have those on GORM, sqlc, ent, bun, sqlx and River.
package orders

import (
	"context"
	_ "embed"
	"errors"
	"time"
)

// Schema makes the tables. Run it as the role that owns them, not as the
// service's user of the day.
//
//go:embed schema.sql
var Schema string

// An Order has been placed and its quantity taken from the stock.
type Order struct {
	ID       int64     `json:"id"`
	Item     string    `json:"item"`
	Quantity int       `json:"quantity"`
	Placed   time.Time `json:"placed"`
}

var (
	// ErrSoldOut says that there is not as much in stock, or no such item.
	ErrSoldOut = errors.New("orders: not that many in stock")
	// ErrNotFound says that there is no such order.
	ErrNotFound = errors.New("orders: no such order")
)

// A Store keeps the orders. Its methods are safe for concurrent use.
type Store interface {
	// Place takes quantity, which is positive, from the item's stock and notes
	// the order, both or neither.
	Place(ctx context.Context, item string, quantity int) (Order, error)
	// Get returns the order of that number.
	Get(ctx context.Context, id int64) (Order, error)
	// Latest returns the last orders, the newest first, at most limit.
	Latest(ctx context.Context, limit int) ([]Order, error)
}
