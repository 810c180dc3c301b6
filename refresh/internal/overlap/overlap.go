// Package overlap keeps what is derived from a credential, and for a time what was
// derived from those before it: for whoever accepts secrets rather than sends them.
package overlap

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rekey-go/rekey/refresh"
)

// A Value is what one generation was parsed to.
type Value[T any] struct {
	Generation uint64
	Of         T

	until time.Time // zero: it is current
}

// Values are the current value and those before it. Their methods are safe for
// concurrent use.
type Values[T any] struct {
	derived *refresh.Derived[Value[T]]
	keep    time.Duration
	stop    func()

	mu   sync.Mutex
	list atomic.Pointer[[]Value[T]] // the current one first, then from new to old
}

// New follows r. keep is how long a value is accepted after it was replaced.
func New[T any](ctx context.Context, r *refresh.Refresher, keep time.Duration, parse func(refresh.Snapshot) (T, error)) (*Values[T], error) {
	d, err := refresh.Derive(ctx, r, func(s refresh.Snapshot) (Value[T], error) {
		of, err := parse(s)
		return Value[T]{Generation: s.Generation, Of: of}, err
	})
	if err != nil {
		return nil, err
	}
	v := &Values[T]{derived: d, keep: keep}
	v.list.Store(&[]Value[T]{d.Get()})
	v.stop = r.OnChange(func(refresh.Snapshot) { v.follow() })
	v.follow() // what came before OnChange
	return v, nil
}

// Current returns the value of the current generation. It is an atomic load.
func (v *Values[T]) Current() Value[T] { return v.derived.Get() }

// At returns the values that are accepted at now, the current one first.
func (v *Values[T]) At(now time.Time) iter.Seq[Value[T]] {
	list := *v.list.Load()
	if v.derived.Get().Generation != list[0].Generation {
		list = v.follow()
	}
	return func(yield func(Value[T]) bool) {
		for _, value := range list {
			if (value.until.IsZero() || now.Before(value.until)) && !yield(value) {
				return
			}
		}
	}
}

// Forget drops all but the current value.
func (v *Values[T]) Forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.list.Store(&[]Value[T]{v.derived.Get()})
}

// Close stops following the refresher; what is current stays so.
func (v *Values[T]) Close() {
	v.stop()
	v.derived.Close()
}

// follow makes what the refresher has adopted the first of the list.
func (v *Values[T]) follow() []Value[T] {
	v.mu.Lock()
	defer v.mu.Unlock()
	current, old, now := v.derived.Get(), *v.list.Load(), time.Now()
	if current.Generation == old[0].Generation {
		return old
	}
	list := []Value[T]{current}
	for _, value := range old {
		if value.until.IsZero() {
			value.until = now.Add(v.keep)
		}
		// One that is returned to is current and not its own predecessor.
		if now.Before(value.until) && value.Generation != current.Generation {
			list = append(list, value)
		}
	}
	v.list.Store(&list)
	return list
}
