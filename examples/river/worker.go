package riverorders

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/rekey-go/rekey/pool"
)

// Ship is the job to ship an order.
type Ship struct {
	OrderID int64 `json:"order_id"`
}

// Kind is the job's name in the queue.
func (Ship) Kind() string { return "ship" }

// Workers returns those who do the shop's jobs on db.
func Workers(db *pool.ManagedPool) *river.Workers {
	workers := river.NewWorkers()
	river.AddWorker(workers, &shipper{db: db})
	return workers
}

type shipper struct {
	river.WorkerDefaults[Ship]
	db *pool.ManagedPool
}

// Work ships the order and completes its job in one transaction. River gives a
// job to a worker at least once; what is done in the transaction that completes
// it is done exactly once.
func (s *shipper) Work(ctx context.Context, job *river.Job[Ship]) error {
	return pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "insert into shipments (order_id) values ($1)", job.Args.OrderID); err != nil {
			return err
		}
		_, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job)
		return err
	})
}
