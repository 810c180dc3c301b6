package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/rekey-go/rekey/examples/vault/setup"
	"github.com/rekey-go/rekey/internal/vaultserver"
)

// leaseCounts are of the leases of the service's role.
type leaseCounts struct {
	Issued  int `json:"leases_issued"`
	Renewed int `json:"leases_renewed"` // how often, all leases together
	Revoked int `json:"leases_revoked"` // before their end
	LiveMax int `json:"leases_live_max"`
	LiveEnd int `json:"leases_live_end"`
}

// A leaseWatch counts leases without the library: every 100 ms it asks Vault
// which there are and the database which users there are.
type leaseWatch struct {
	lab    *setup.Lab
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu     sync.Mutex
	leases map[string]*lease // all there ever were, by ID
	live   int
	most   int
	err    error // the first that was in the way
}

// A lease is what Vault says of one.
type lease struct {
	expires time.Time
	renewed string // when, in Vault's words; empty: never
	times   int
	gone    time.Time // when it was missed
}

func watchLeases(lab *setup.Lab) *leaseWatch {
	ctx, cancel := context.WithCancel(context.Background())
	w := &leaseWatch{lab: lab, cancel: cancel, leases: make(map[string]*lease)}
	w.done.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			w.look(context.WithoutCancel(ctx)) // what has begun ends
			select {
			case <-ctx.Done():
				w.look(context.WithoutCancel(ctx))
				return
			case <-tick.C:
			}
		}
	})
	return w
}

// stop looks a last time. It may be called more than once.
func (w *leaseWatch) stop() {
	w.cancel()
	w.done.Wait()
}

func (w *leaseWatch) look(ctx context.Context) {
	ids, err := w.list(ctx)
	if err != nil {
		w.fail(err)
		return
	}
	users, err := w.lab.Users(ctx)
	if err != nil {
		w.fail(err)
		return
	}
	now := time.Now()
	w.mu.Lock()
	w.live = max(len(ids), len(users))
	w.most = max(w.most, w.live)
	for id, l := range w.leases {
		if !ids[id] && l.gone.IsZero() {
			l.gone = now
		}
	}
	w.mu.Unlock()
	for id := range ids {
		if err := w.lookUp(ctx, id); err != nil {
			w.fail(err)
		}
	}
}

// list returns the leases that are not revoked yet.
func (w *leaseWatch) list(ctx context.Context) (map[string]bool, error) {
	prefix := setup.Path + "/"
	ids := make(map[string]bool)
	res, err := w.lab.Vault.Do(ctx, "LIST", "sys/leases/lookup/"+prefix, nil)
	if status(err) == http.StatusNotFound { // there are none
		return ids, nil
	}
	if err != nil {
		return nil, err
	}
	keys, _ := res.Data["keys"].([]any)
	for _, key := range keys {
		ids[prefix+fmt.Sprint(key)] = true
	}
	return ids, nil
}

// lookUp notes how a lease stands.
func (w *leaseWatch) lookUp(ctx context.Context, id string) error {
	res, err := w.lab.Vault.Do(ctx, "PUT", "sys/leases/lookup", map[string]any{"lease_id": id})
	if err != nil && status(err) != http.StatusBadRequest { // which it is when it has gone meanwhile
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.leases[id]
	if l == nil {
		l = new(lease)
		w.leases[id] = l
	}
	if err != nil {
		return nil
	}
	expires, _ := res.Data["expire_time"].(string)
	l.expires, _ = time.Parse(time.RFC3339Nano, expires) // none: never
	if renewed, _ := res.Data["last_renewal"].(string); renewed != l.renewed {
		l.renewed = renewed
		l.times++
	}
	return nil
}

func status(err error) int {
	var refused *vaultserver.Error
	if errors.As(err, &refused) {
		return refused.Status
	}
	return 0
}

func (w *leaseWatch) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = fmt.Errorf("counting leases: %w", err)
	}
}

// counts returns the counts so far, and what was in the way of counting.
func (w *leaseWatch) counts() (c leaseCounts, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c = leaseCounts{Issued: len(w.leases), LiveMax: w.most, LiveEnd: w.live}
	for _, l := range w.leases {
		c.Renewed += l.times
		if !l.gone.IsZero() && l.gone.Before(l.expires) {
			c.Revoked++
		}
	}
	return c, w.err
}
