package crashtest_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate"
)

// A plot is what a process was doing when it was killed.
type plot struct {
	name   string
	before []job // what had been done in good order
	victim job
	undoes bool // so the rotation may be found to be spent
}

var plots = []plot{
	{"rotate", nil, job{Do: rotateIt}, false},
	{"rotate again", []job{{Do: rotateIt, Until: "promote"}}, job{Do: rotateIt}, false}, // and retire first
	{"rotate in vain", []job{{Do: rotateIt}}, job{Do: rotateIt, Unfit: true}, true},
	{"undo", []job{{Do: rotateIt}, {Do: rotateIt, Until: "verify"}}, job{Do: rollBack}, true},
	{"restore", []job{{Do: rotateIt, Until: "promote"}}, job{Do: rollBack}, false},
}

// Each target is in the sample with storesEach stores, each of these pairs with
// plotsEach plots, and each of these with pointsEach points.
const storesEach, plotsEach, pointsEach = 3, 1, 4

func TestCrash(t *testing.T) {
	all := os.Getenv("REKEY_CRASH") == "all"
	seed := seedOf(t)
	began := time.Now()
	var matrix, cases, killed atomic.Int64
	pairs := 0
	t.Cleanup(func() {
		fmt.Printf("TestCrash: %d cases of %d, from %d pairs of a target and a store, %d of them killed, in %v; REKEY_CRASH_SEED=%d repeats this\n",
			cases.Load(), matrix.Load(), pairs, killed.Load(), time.Since(began).Round(time.Second), seed)
		if !t.Failed() && !filtered() {
			require.GreaterOrEqual(t, cases.Load(), int64(100))
			require.Greater(t, killed.Load(), cases.Load()*95/100, "polling makes the number of points vary, but not much")
		}
	})
	for i, target := range targets {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		for _, store := range pick(rng, stores, storesEach, all) {
			pairs++
			for _, p := range pick(rng, plots, plotsEach, all) {
				rng := rand.New(rand.NewPCG(rng.Uint64(), 0))
				t.Run(target.name+"/"+store.name+"/"+p.name, func(t *testing.T) {
					t.Parallel()
					points := p.rehearse(t, target, store)
					matrix.Add(int64(len(points)))
					if all {
						fmt.Printf("%s: %d points\n", t.Name(), len(points))
					}
					for _, n := range pick(rng, numbers(len(points)), pointsEach, all) {
						c := crash{p, target, store, n, rng.IntN(2) == 0, rng.IntN(2) == 0, 0}
						if rng.IntN(3) == 0 {
							c.again = 1 + rng.IntN(len(points))
						}
						t.Run(fmt.Sprintf("%d %s", n, points[n-1]), func(t *testing.T) {
							cases.Add(1)
							if c.run(t) {
								killed.Add(1)
							}
						})
					}
				})
			}
		}
	}
}

// filtered reports whether somebody has asked for some of the cases only.
func filtered() bool {
	return strings.Contains(flag.Lookup("test.run").Value.String(), "/")
}

func seedOf(t *testing.T) uint64 {
	seed := rand.Uint64()
	if text, ok := os.LookupEnv("REKEY_CRASH_SEED"); ok {
		n, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, "REKEY_CRASH_SEED")
		seed = n
	}
	t.Logf("REKEY_CRASH_SEED=%d repeats this", seed)
	return seed
}

// pick draws n of them, or puts all in another order.
func pick[T any](rng *rand.Rand, from []T, n int, all bool) (picked []T) {
	order := rng.Perm(len(from))
	if !all {
		order = order[:min(n, len(from))]
	}
	for _, i := range order {
		picked = append(picked, from[i])
	}
	return picked
}

// numbers are those from 1 to n.
func numbers(n int) (all []int) {
	for i := range n {
		all = append(all, i+1)
	}
	return all
}

// rehearse goes through a plot without a crash and lists the points.
func (p plot) rehearse(t *testing.T, target targetKind, store storeKind) []string {
	s := newScene(t, target, store)
	p.prepare(s)
	r := s.process(p.victim)
	require.NotNil(t, r.end)
	s.checkDone()
	points := r.points()
	require.Greater(t, len(points), 10)
	return points
}

func (p plot) prepare(s *scene) {
	for _, j := range p.before {
		r := s.here(j)
		require.True(s.t, r.end.Error == "" || j.Until != "", r.end.Error)
	}
	s.check()
}

// A crash is a case.
type crash struct {
	plot
	target targetKind
	store  storeKind
	point  int
	back   bool // recover by Rollback
	twice  bool // and do everything twice
	again  int  // the point where the recovery is killed, too; zero: nowhere
}

// run reports whether there was a crash: polling may make fewer points.
func (c crash) run(t *testing.T) (killed bool) {
	s := newScene(t, c.target, c.store)
	c.prepare(s)
	victim := c.victim
	victim.Kill = c.point
	r := s.process(victim)
	killed = r.end == nil

	recovery := job{Do: rotateIt, Twice: c.twice}
	if c.back {
		recovery.Do = rollBack
	}
	if c.again > 0 {
		s.check()
		first := recovery
		first.Kill = c.again
		s.process(first)
	}
	before := s.check()
	if c.back {
		s.backed(before, s.here(recovery))
	} else {
		s.forwarded(before, s.here(recovery), c.undoes || c.back)
	}
	s.checkDone()

	// Whatever has happened, the next rotation leaves nothing behind.
	r = s.here(job{Do: rotateIt})
	require.Empty(t, r.end.Error)
	s.checkTidy()
	return killed
}

// forwarded looks at what Rotate has made of it.
func (s *scene) forwarded(before rotate.State, r report, spent bool) {
	t := s.t
	t.Helper()
	after := s.read()
	if spent && r.end.Kind == "unfit" { // the rotation had been undone, but for its end
		require.Equal(t, before.Current.Token, after.Current.Token)
		return
	}
	require.Empty(t, r.end.Error)
	require.NotEqual(t, before.Current.Token, after.Current.Token)
	if pending := open(before); pending != nil {
		require.Equal(t, pending.Token, after.Current.Token, "the same rotation should have been finished")
	}
}

// backed looks at what Rollback has made of it.
func (s *scene) backed(before rotate.State, r report) {
	t := s.t
	t.Helper()
	after := s.read()
	switch {
	case open(before) != nil:
		require.Empty(t, r.end.Error)
		require.Equal(t, before.Current.Token, after.Current.Token)
	case r.end.Kind == "nothing":
		require.True(t, before.Previous == nil || s.strategy.Leaves, r.end.Error)
		require.Equal(t, before.Current.Token, after.Current.Token)
	default:
		require.Empty(t, r.end.Error)
		require.Equal(t, before.Previous.Token, after.Current.Token)
	}
}
