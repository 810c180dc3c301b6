package pool

import (
	"fmt"
	"time"

	"github.com/rekey-go/rekey/refresh"
)

// Health is how a pool stands at one moment: its credential and its
// connections. It holds no secret.
type Health struct {
	refresh.Health

	// Connections counts the open sockets by the generation they logged in
	// with, those that are lent, hijacked or still logging in included.
	Connections map[uint64]int `json:"connections"`

	// Overstaying counts the sockets among them whose generation has reached
	// its deadline: transactions and held connections that outlive it.
	Overstaying int `json:"overstaying"`

	// Logins, LoginsRejected and Retired count since the start: logins that
	// succeeded, logins that the database rejected, and connections closed
	// after their generation had been replaced.
	Logins         uint64 `json:"logins"`
	LoginsRejected uint64 `json:"logins_rejected"`
	Retired        uint64 `json:"retired"`

	// Denied, Disowned, TakenBack and Severed count since the start: statements
	// that failed for lack of rights, sessions whose user was found to be
	// dropped, credentials taken back because their user had lost rights, and
	// connections closed under their user (see [Options.Overstay]).
	Denied    uint64 `json:"denied"`
	Disowned  uint64 `json:"disowned"`
	TakenBack uint64 `json:"taken_back"`
	Severed   uint64 `json:"severed"`
}

func (k *keeper) health() Health {
	h := Health{Health: k.refresher.Health(), Connections: make(map[uint64]int)}
	now := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	usable := 0
	for l := range k.sessions {
		h.Connections[l.snapshot.Generation]++
		switch {
		case l.overAt(now):
			h.Overstaying++
		case l.open.Load():
			usable++
		}
	}
	c := k.counts
	h.Logins, h.LoginsRejected, h.Retired = c.logins, c.rejected, c.retired
	h.Denied, h.Disowned, h.TakenBack, h.Severed = c.denied, c.disowned, c.takenBack, c.severed
	switch {
	case k.ctx.Err() != nil:
		h.State, h.Why = refresh.Closed, "the pool has been closed"
	case h.State != refresh.Expired && h.Generation == k.disowned:
		h.State = refresh.Disowned
		h.Why = fmt.Sprintf("user %q was dropped while its sessions were in use, and the source has no other one yet", h.Username)
	case h.State == refresh.Expired && usable > 0:
		h.State = refresh.Degraded
		h.Why = fmt.Sprintf("no new login is possible: %s; %d open connections still serve", h.Why, usable)
	case h.State == refresh.Fresh && h.Overstaying > 0:
		h.Why = fmt.Sprintf("%d connections have outlived their credential and are still in use", h.Overstaying)
	}
	return h
}

// Health returns how the pool stands. It asks nobody and may be called often.
func (p *ManagedPool) Health() Health { return p.keeper.health() }

// Health returns how the DB stands. It asks nobody and may be called often.
func (db *ManagedDB) Health() Health { return db.keeper.health() }
