package crashtest_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// someStores are all of them, or one that the seed draws.
func someStores(seed uint64, target targetKind) []storeKind {
	if os.Getenv("REKEY_CRASH") == "all" {
		return stores
	}
	n := rand.New(rand.NewPCG(seed, uint64(len(target.name)))).IntN(len(stores))
	return stores[n : n+1]
}

// Two processes rotate one secret at once. With a lock, one of them is told that
// the other is at it; without, it may also be told that things have changed.
func TestInvariantTwoProcesses(t *testing.T) {
	seed := seedOf(t)
	for _, target := range targets {
		for _, store := range someStores(seed, target) {
			for _, locks := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/%s/locks=%v", target.name, store.name, locks), func(t *testing.T) {
					t.Parallel()
					s := newScene(t, target, store)
					first := s.read().Current.Token
					children := []*child{s.about(job{Do: rotateIt, Lock: locks, Kill: -1}).start(t), s.about(job{Do: rotateIt, Lock: locks, Kill: -1}).start(t)}
					allowed := map[string]bool{"": true, "running": locks, "conflict": !locks}
					won := 0
					for _, c := range children {
						r := s.told(c.wait(t))
						require.NotNil(t, r.end)
						require.True(t, allowed[r.end.Kind], r.end.Error)
						if r.end.Error == "" {
							won++
						}
					}
					require.Positive(t, won)
					s.checkDone()
					require.NotEqual(t, first, s.read().Current.Token)
					require.Empty(t, s.here(job{Do: rotateIt}).end.Error)
					s.checkTidy()
				})
			}
		}
	}
}

// Two rotators in this process, call by call as in the model, but on real parts.
func TestInvariantInterleavingsOnServers(t *testing.T) {
	seed := seedOf(t)
	trials := 1
	if os.Getenv("REKEY_CRASH") == "all" {
		trials = 20
	}
	for _, target := range targets {
		for _, store := range someStores(seed+1, target) {
			for n := range trials {
				t.Run(fmt.Sprintf("%s/%s/%d", target.name, store.name, n), func(t *testing.T) {
					t.Parallel()
					s := newScene(t, target, store)
					first := s.read().Current.Token
					p := &turns{rng: rand.New(rand.NewPCG(seed, uint64(n)))}
					if n%2 == 1 {
						p.faulty = 0.1
					}
					actors := []*actor{s.actor(), s.actor()}
					p.play(actors...)
					defer func() {
						if t.Failed() {
							t.Log(strings.Join(p.log, "\n"))
						}
					}()
					won := 0
					for _, a := range actors {
						if a.over && a.err == nil {
							won++
						} else if a.err != nil && p.faulty == 0 {
							require.ErrorIs(t, a.err, rotate.ErrConflict)
						}
					}
					require.True(t, won > 0 || p.faulty > 0)
					s.check()
					require.Empty(t, s.here(job{Do: rotateIt}).end.Error)
					s.checkDone()
					require.NotEqual(t, first, s.read().Current.Token)
					require.Empty(t, s.here(job{Do: rotateIt}).end.Error)
					s.checkTidy()
				})
			}
		}
	}
}

// actor is a rotator of the secret.
func (s *scene) actor() *actor {
	c, err := s.job.config(nil)
	require.NoError(s.t, err)
	c.Generate = func() (source.Secret, error) {
		password := fmt.Sprintf("%s-%d", s.drawn[0], len(s.drawn))
		s.drawn = append(s.drawn, password)
		return source.NewSecret(password), nil
	}
	return act(*c, false)
}
