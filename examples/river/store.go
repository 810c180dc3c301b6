// Package riverorders is the shop with River as its job queue: an order and the
// job to ship it are one transaction, and so are the shipment and the job's end.
// River takes the Pool of a [pool.ManagedPool], which it keeps for life.
//
// Its notifier takes a connection out of the pool to LISTEN, and keeps it: left
// alone, the old credential never drains. So either set PollOnly; a job then
// waits for up to FetchPollInterval. Or give River a pool of its own with a short
// [pool.Options.Overstay], and the refresher of all pools a
// [refresh.Options.Drain]: the listener is cut that long after a change, and
// River polls until it listens anew.
//
// A worker that holds a transaction holds up the drain. Let it work first and
// then write down what came of it; JobTimeout is the most that rotations wait.
// Migrations run as the role that owns the tables, see [Migrate].
package riverorders

import (
	"context"
	_ "embed"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/rekey-go/rekey/examples/orders"
	"github.com/rekey-go/rekey/pool"
)

//go:embed schema.sql
var schema string

// Migrate makes River's tables and the one for shipments, beside those of
// [orders.Schema]. The sessions of owner are those of the role that owns the
// tables, not of the service's user of the day.
func Migrate(ctx context.Context, owner *pgxpool.Pool) error {
	migrator, err := rivermigrate.New(riverpgxv5.New(owner), nil)
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	_, err = owner.Exec(ctx, schema)
	return err
}

// Store is an [orders.Store] that has each order shipped.
type Store struct {
	*orders.Postgres
	db   *pool.ManagedPool
	jobs *river.Client[pgx.Tx]
}

// New returns a Store on db whose orders are shipped by the workers of jobs, of
// this process or of another. See [Workers].
func New(db *pool.ManagedPool, jobs *river.Client[pgx.Tx]) *Store {
	return &Store{orders.NewPostgres(db), db, jobs}
}

// Place takes from the stock, notes the order and enqueues its shipment in one
// transaction.
func (s *Store) Place(ctx context.Context, item string, quantity int) (orders.Order, error) {
	var order orders.Order
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `with taken as (update items set stock = stock - $2 where name = $1 and stock >= $2 returning name)
			insert into orders (item, quantity) select name, $2 from taken returning id, item, quantity, placed_at`, item, quantity)
		if err != nil {
			return err
		}
		order, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[orders.Order])
		if errors.Is(err, pgx.ErrNoRows) {
			return orders.ErrSoldOut
		}
		if err != nil {
			return err
		}
		_, err = s.jobs.InsertTx(ctx, tx, Ship{order.ID}, nil)
		return err
	})
	return order, err
}
