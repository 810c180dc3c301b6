package main

import (
	"encoding/xml"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The fleet of the command in small.
func TestFleetSettles(t *testing.T) {
	f := flags{refreshers: 50, ttl: 10 * time.Second, length: 36 * time.Second}
	r, err := run(t.Context(), f)
	require.NoError(t, err)
	t.Logf("%+v", r)
	require.NoError(t, r.check())
	require.Zero(t, r.Failed)
	require.GreaterOrEqual(t, r.UsersMin, f.refreshers, "each has a user of its own")
	require.LessOrEqual(t, r.UsersMax, 2*f.refreshers)
	require.NoError(t, xml.Unmarshal(r.svg(f), new(any)))
}

func TestRefusesNonsense(t *testing.T) {
	_, err := run(t.Context(), flags{refreshers: 1, ttl: time.Minute, length: 2 * time.Minute})
	require.ErrorContains(t, err, "must be")
}

// What the bound lets through and what it finds.
func TestBound(t *testing.T) {
	require.Equal(t, 66.0, bound(33, 120), "twice the mean, where that is no chance")
	require.Greater(t, bound(16, 10), 32.0)
	require.Less(t, bound(16, 10), 40.0)
	exceeded := 0
	for range 10_000 {
		for range 10 {
			if float64(draw(16)) > bound(16, 10) {
				exceeded++
			}
		}
	}
	require.LessOrEqual(t, exceeded, 10, "in 100,000 seconds, of which one is expected")

	together := result{ttl: 2 * time.Second, TTL: 2, counts: []int{60, 0, 0, 60, 0, 0, 60, 0, 0, 60, 0, 0, 60, 0, 0}}
	together.judge(nil)
	require.Error(t, together.check(), "a fleet that keeps step is found")
}

// draw draws from a Poisson distribution: events at random times in a unit.
func draw(mean float64) (n int) {
	for at := rand.ExpFloat64() / mean; at < 1; at += rand.ExpFloat64() / mean {
		n++
	}
	return n
}
