package refresh

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

type listener struct {
	mu sync.Mutex
	f  func(Snapshot)
}

// OnChange has f called with every generation that is adopted from now on, one
// after the other. f runs on the refresher's own goroutine and should return
// soon. After stop has returned, f is not called any more; f must not call
// stop itself.
func (r *Refresher) OnChange(f func(Snapshot)) (stop func()) {
	l := &listener{f: f}
	r.mu.Lock()
	r.listeners[l] = struct{}{}
	r.mu.Unlock()
	return func() {
		r.mu.Lock()
		delete(r.listeners, l)
		r.mu.Unlock()
		l.mu.Lock()
		l.f = nil
		l.mu.Unlock()
	}
}

// announce calls the listeners.
func (r *Refresher) announce(s Snapshot) {
	r.mu.Lock()
	listeners := make([]*listener, 0, len(r.listeners))
	for l := range r.listeners {
		listeners = append(listeners, l)
	}
	r.mu.Unlock()
	for _, l := range listeners {
		l.mu.Lock()
		if l.f != nil {
			l.f(s)
		}
		l.mu.Unlock()
	}
}

// A Derived is a value made from the credential and kept as fresh as it: a TLS
// certificate, an API key, a set of signing keys.
type Derived[T any] struct {
	attachment *Attachment
	parse      func(Snapshot) (T, error)
	current    atomic.Pointer[derived[T]]

	mu      sync.Mutex
	pending map[uint64]T // parsed at the gate, by generation
}

type derived[T any] struct {
	generation uint64
	value      T
}

// Derive keeps the value that parse makes of r's credential. parse runs inside
// the gate: a credential that it refuses is never adopted by anyone, and the
// last good one stays. It runs once more if an earlier credential is returned
// to (see [Hold.Reinstate]). parse must not put the secret's text into its error.
// Derive fails if the current credential does not parse.
func Derive[T any](ctx context.Context, r *Refresher, parse func(Snapshot) (T, error)) (*Derived[T], error) {
	d := &Derived[T]{parse: parse, pending: make(map[uint64]T)}
	a, err := r.Attach(ctx, d.consumer(r))
	if err != nil {
		return nil, err
	}
	d.attachment = a
	d.publish(r.Current())
	return d, nil
}

// Get returns the value of the current generation. It is an atomic load.
func (d *Derived[T]) Get() T { return d.current.Load().value }

// Generation returns the generation that [Derived.Get] is made of.
func (d *Derived[T]) Generation() uint64 { return d.current.Load().generation }

// Close stops following the refresher; Get keeps the last value.
func (d *Derived[T]) Close() { d.attachment.Detach() }

func (d *Derived[T]) consumer(r *Refresher) Consumer { return &deriver[T]{d, r} }

// deriver keeps Verify and Changed out of Derived's method set.
type deriver[T any] struct {
	d *Derived[T]
	r *Refresher
}

func (v *deriver[T]) Verify(_ context.Context, s Snapshot) error {
	value, err := v.d.parse(s)
	if err != nil {
		return fmt.Errorf("it cannot be parsed: %w (%w)", err, ErrRejected)
	}
	v.d.mu.Lock()
	defer v.d.mu.Unlock()
	v.d.pending[s.Generation] = value
	return nil
}

func (v *deriver[T]) Changed() { v.d.publish(v.r.Current()) }

// publish makes the value of s current: the one parsed at the gate, or, where s
// has been returned to, the same once more.
func (d *Derived[T]) publish(s Snapshot) {
	d.mu.Lock()
	defer d.mu.Unlock()
	value, ok := d.pending[s.Generation]
	if last := d.current.Load(); !ok {
		if last == nil || last.generation == s.Generation {
			return
		}
		var err error
		if value, err = d.parse(s); err != nil {
			return
		}
	}
	d.current.Store(&derived[T]{s.Generation, value})
	clear(d.pending)
}
