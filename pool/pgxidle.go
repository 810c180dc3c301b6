package pool

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// pgxIdle is an idle connection of a pgxpool in the hands of an exchange.
type pgxIdle struct {
	pool   *ManagedPool
	pooled *pgxpool.Conn
	conn   *pgx.Conn
}

func (p *ManagedPool) take(ctx context.Context, _ int) []idleConn {
	var all []idleConn
	for _, c := range p.AcquireAllIdle(ctx) {
		all = append(all, &pgxIdle{p, c, c.Conn()})
	}
	return all
}

func (p *ManagedPool) fill(ctx context.Context) error {
	c, err := p.Pool.Acquire(ctx)
	if err != nil {
		return err // the next caller that needs a connection sees it too
	}
	pass(c)
	return nil
}

func (p *ManagedPool) idle() int { return int(p.Stat().IdleConns()) }

func (p *ManagedPool) total() int { return int(p.Stat().TotalConns()) }

func (p *ManagedPool) coming(int) int { return int(p.Stat().ConstructingConns()) }

func (p *ManagedPool) most() int { return int(p.config.MaxConns) }

func (c *pgxIdle) login() *Login { return sessionOf(c.conn) }
func (c *pgxIdle) giveBack()     { pass(c.pooled) }

func (c *pgxIdle) leave() (room bool) {
	c.pooled.Hijack()
	return true
}

// pass releases a connection without the user's AfterRelease.
func pass(c *pgxpool.Conn) {
	if l := sessionOf(c.Conn()); l != nil {
		l.passing.Store(true)
	}
	c.Release()
}

// close closes a connection that has left the pool, as the pool would.
func (c *pgxIdle) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if hook := c.pool.config.BeforeClose; hook != nil {
		hook(c.conn)
	}
	_ = c.conn.Close(ctx)
}
