package main

import (
	"fmt"
	"math"
	"time"

	"github.com/rekey-go/rekey/internal/storm/plot"
)

// A result is what a fleet did. Its seconds count from the start of the first
// refresher.
type result struct {
	Refreshers int     `json:"refreshers"`
	TTL        float64 `json:"ttl_s"`
	Start      float64 `json:"start_s"` // until all had a lease
	Fetches    int     `json:"fetches"`
	Failed     int64   `json:"fetches_failed"`
	Renewals   int     `json:"renewals"`
	Expired    int     `json:"expired"`
	UsersMin   int     `json:"users_min"` // in the database, after the start
	UsersMax   int     `json:"users_max"`
	Mean       float64 `json:"mean_per_s"` // three TTLs after the start and later
	Peak       int     `json:"peak_per_s"` // at that time, too
	Ratio      float64 `json:"peak_to_mean"`
	Bound      float64 `json:"bound_per_s"` // that a peak must not exceed
	Settled    float64 `json:"settled_s"`   // no second after this one exceeds the bound
	Stall      float64 `json:"longest_stall_s"`

	counts []int
	ttl    time.Duration
}

// unlikely is how improbable a whole run must be for it to be no chance.
const unlikely = 1e-4

func (w *watch) result(f flags) result {
	r := result{
		Refreshers: f.refreshers, TTL: f.ttl.Seconds(), Start: w.started.Seconds(), Failed: w.failed.Load(),
		Expired: w.expirations, UsersMin: w.usersMin, UsersMax: w.usersMax, ttl: f.ttl,
	}
	for _, refresher := range w.fleet {
		r.Renewals += refresher.Health().Renewals
	}
	for _, stall := range w.stalls {
		r.Stall = max(r.Stall, stall.Seconds())
	}
	w.mu.Lock()
	r.counts = make([]int, f.length/time.Second) // the last second is whole
	copy(r.counts, w.counts)
	w.mu.Unlock()
	r.judge(w.stalls)
	return r
}

// judge compares the seconds from three TTLs on with each other, and finds when
// it began to be so.
func (r *result) judge(stalls map[int]time.Duration) {
	from := int(math.Ceil(3 * r.ttl.Seconds()))
	settled := r.counts[from:]
	for _, n := range r.counts {
		r.Fetches += n
	}
	for _, n := range settled {
		r.Mean += float64(n) / float64(len(settled))
		r.Peak = max(r.Peak, n)
	}
	r.Ratio = float64(r.Peak) / r.Mean
	r.Bound = bound(r.Mean, len(settled))
	for i, n := range r.counts {
		// What was due while the process did not run comes right afterwards.
		limit := r.Bound
		if stall := stalls[i].Seconds(); stall > 0.5 {
			limit = bound(r.Mean*(1+stall), len(settled))
		}
		if float64(n) > limit {
			r.Settled = float64(i + 1)
		}
	}
}

// check says what a fleet must not do.
func (r result) check() error {
	switch {
	case r.Expired > 0:
		return fmt.Errorf("%d leases expired", r.Expired)
	case r.Settled > 3*r.TTL:
		return fmt.Errorf("%.0f s after the start there were more than %.0f fetches in a second, with %.1f on average; at most %d", r.Settled, r.Bound, r.Mean, r.Peak)
	}
	return nil
}

// bound is twice the mean, or where chance alone can exceed that, as it does
// with small numbers, what independent events exceed in one of n counts with a
// probability that is negligible.
func bound(mean float64, n int) float64 {
	return max(2*mean, poisson(mean, unlikely/float64(max(n, 1))))
}

// poisson returns the smallest k that a Poisson variable exceeds with a
// probability of less than p.
func poisson(mean, p float64) float64 {
	// The tail is summed from far out, small terms first.
	far := mean + 20*math.Sqrt(mean) + 40
	tail, k := 0.0, math.Floor(far)
	for ; k > 0; k-- {
		logGamma, _ := math.Lgamma(k + 1)
		tail += math.Exp(k*math.Log(mean) - mean - logGamma)
		if tail >= p {
			break
		}
	}
	return k
}

func (r result) svg(f flags) []byte {
	from := 3 * f.ttl
	picture := plot.Rate{
		Title:   fmt.Sprintf("%d refreshers that start together: %d of their leases expired", r.Refreshers, r.Expired),
		Setting: fmt.Sprintf("leases of %v, from one Vault and its database engine; %d fetches in %v, %d failed", f.ttl, r.Fetches, f.length, r.Failed),
		Heading: "Fetches per second",
		Counts:  r.counts,
		Top:     1.5 * r.Bound, // the start is higher by far
		Lines: []plot.Line{
			{Value: r.Mean, From: from, Name: fmt.Sprintf("mean %.1f", r.Mean)},
			{Value: r.Bound, From: from, Name: fmt.Sprintf("limit %.0f", r.Bound)},
		},
		Marks: []plot.Mark{{At: f.ttl, Name: "1 TTL"}, {At: 2 * f.ttl, Name: "2 TTLs"}, {At: from, Name: "3 TTLs"}},
	}
	return picture.SVG()
}
