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
func (h *Histogram) Count() int64 { return h.Counts().Total() }

// Quantiles returns the quantiles of what has been added.
func (h *Histogram) Quantiles() Quantiles { return h.Counts().Quantiles() }

// Counts returns what has been added so far. What is added meanwhile may be in
// it or not.
func (h *Histogram) Counts() *Counts {
	c := &Counts{max: h.max.Load()}
	for i := range h.buckets {
		c.buckets[i] = h.buckets[i].Load()
	}
	return c
}

// Counts is a Histogram at one moment. It does not change.
type Counts struct {
	buckets [36 * steps]int64
	max     int64
}

// Since returns what has been added between an earlier moment of the same
// Histogram and this one. Its longest duration is known like a quantile, to
// the upper end of a bucket.
func (c *Counts) Since(earlier *Counts) *Counts {
	d := new(Counts)
	for i := range c.buckets {
		d.buckets[i] = c.buckets[i] - earlier.buckets[i]
		if d.buckets[i] > 0 {
			d.max = int64(upper(i))
		}
	}
	if c.max < d.max && bucket(uint64(c.max)) == bucket(uint64(d.max)) {
		d.max = c.max
	}
	return d
}

// Total returns how many durations there are.
func (c *Counts) Total() (n int64) {
	for _, b := range c.buckets {
		n += b
	}
	return n
}

// Quantiles are the durations below which the given parts of all lie. Each is
// the upper end of its bucket, so at most 1/16 too long.
type Quantiles struct{ P50, P99, P999, Max time.Duration }

// Quantiles returns the quantiles; all are zero where there are no durations.
func (c *Counts) Quantiles() Quantiles {
	total := c.Total()
	longest := time.Duration(c.max) * time.Microsecond
	at := func(part float64) time.Duration {
		left := int64(part * float64(total))
		for i, n := range c.buckets {
			if left -= n; left < 0 {
				return min(time.Duration(upper(i))*time.Microsecond, longest)
			}
		}
		return longest
	}
	return Quantiles{P50: at(0.50), P99: at(0.99), P999: at(0.999), Max: longest}
}
