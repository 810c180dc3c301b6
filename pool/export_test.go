package pool

import "time"

// Attention reports whether lending a connection takes the slow way.
func (p *ManagedPool) Attention() bool { return p.keeper.attention.Load() }

// Attention reports whether lending a connection takes the slow way.
func (db *ManagedDB) Attention() bool { return db.keeper.attention.Load() }

// Allowance is how many stale connections callers may still give up.
func (p *ManagedPool) Allowance() int { return int(p.keeper.allowance.Load()) }

// Turnaway is a turnaway for tests.
type Turnaway struct{ turnaway }

func NewTurnaway(size int) *Turnaway { return &Turnaway{turnaway{size: size}} }

func (t *Turnaway) Allow(now time.Time) bool { return t.allow(now) }
