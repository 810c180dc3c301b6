package load

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// A Histogram counts durations in buckets that are at most 1/16 wide, from a
// microsecond to hours. The zero Histogram is empty and ready to use. It is
// safe for concurrent use.
type Histogram struct {
	buckets [36 * steps]atomic.Int64
	max     atomic.Int64
}

const steps = 16 // buckets for each doubling

// Add counts d.
func (h *Histogram) Add(d time.Duration) {
	us := max(d.Microseconds(), 0)
	h.buckets[min(bucket(uint64(us)), len(h.buckets)-1)].Add(1)
	for {
		m := h.max.Load()
		if us <= m || h.max.CompareAndSwap(m, us) {
			return
		}
	}
}

// bucket returns the bucket of a number of microseconds: the numbers below
// steps have one each, and every doubling from there is cut into steps.
func bucket(us uint64) int {
	if us < steps {
		return int(us)
	}
	doubling := bits.Len64(us / steps)
	return doubling*steps + int(us>>(doubling-1)) - steps
}

// upper returns the largest number of microseconds of bucket i.
func upper(i int) uint64 {
	if i < steps {
		return uint64(i)
	}
	doubling := i / steps
	return uint64(i%steps+steps+1)<<(doubling-1) - 1
}

// Count returns how many durations have been added.
func (h *Histogram) Count() (n int64) {
	for i := range h.buckets {
		n += h.buckets[i].Load()
	}
	return n
}

// Quantiles are the durations below which the given parts of all lie. Each is
// the upper end of its bucket, so at most 1/16 too long.
type Quantiles struct{ P50, P99, P999, Max time.Duration }

// Quantiles returns the quantiles of what has been added.
func (h *Histogram) Quantiles() Quantiles {
	total := h.Count()
	longest := time.Duration(h.max.Load()) * time.Microsecond
	at := func(part float64) time.Duration {
		left := int64(part * float64(total))
		for i := range h.buckets {
			if left -= h.buckets[i].Load(); left < 0 {
				return min(time.Duration(upper(i))*time.Microsecond, longest)
			}
		}
		return longest
	}
	return Quantiles{P50: at(0.50), P99: at(0.99), P999: at(0.999), Max: longest}
}
