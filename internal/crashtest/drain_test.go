package crashtest_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate"
)

// Whoever waits for a session polls, so there are as many points as one likes:
// those of some polls are tried.
const drainPoints = 16

// A process is killed while it waits for somebody who still has a session of the
// user that is to be retired, or set anew. Others must not go on while it is open,
// unless they are told to, and then say so.
func TestInvariantDrain(t *testing.T) {
	seed := seedOf(t)
	for i, target := range targets {
		if target.waits == "" {
			continue
		}
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		for _, store := range someStores(seed+2, target) {
			for _, force := range []bool{false, true} {
				for _, n := range pick(rng, numbers(drainPoints), 1, os.Getenv("REKEY_CRASH") == "all") {
					t.Run(fmt.Sprintf("%s/%s/force=%v/%d", target.name, store.name, force, n), func(t *testing.T) {
						t.Parallel()
						s := newScene(t, target, store)
						s.drain(target.waits, n, force)
					})
				}
			}
		}
	}
}

// drain kills a process at point n of the step that waits.
func (s *scene) drain(step rotate.Step, n int, force bool) {
	t := s.t
	old := s.read().Current.Credential
	end := s.users.session(t, old)
	defer func() { end() }()
	if s.strategy.Reuses { // which waits for those of the user before
		require.Empty(t, s.here(job{Do: rotateIt}).end.Error)
	}
	require.Nil(t, s.process(job{Do: rotateIt, Kill: n, KillIn: step}).end)
	begun := s.check()

	const soon = 200 * time.Millisecond
	r := s.here(job{Do: rotateIt, Drain: soon})
	require.Equal(t, "undrained", r.end.Kind, r.end.Error)
	require.False(t, s.gone(r, old.Username), "somebody uses it")
	require.Equal(t, tokens(begun), tokens(s.check()))
	ok, err := s.look.Target.Accepts(t.Context(), old)
	require.NoError(t, err)
	require.True(t, ok, "somebody uses it")

	last := job{Do: rotateIt}
	if force {
		last = job{Do: rotateIt, Drain: soon, Force: true}
	} else {
		end()
		end = func() {}
	}
	r = s.here(last)
	require.Empty(t, r.end.Error)
	require.True(t, s.gone(r, old.Username))
	forced := 0
	for _, n := range r.notes {
		if n.Forced != "" {
			require.Positive(t, n.Left)
			require.Contains(t, n.Forced, fmt.Sprintf("%d sessions of %s are left", n.Left, old.Username))
			forced++
		}
	}
	require.Equal(t, force, forced > 0)
	s.checkDone()
	if !force {
		require.Empty(t, s.here(job{Do: rotateIt}).end.Error)
		s.checkTidy()
	}
}

// tokens are those of current, previous and pending.
func tokens(st rotate.State) (all [3]string) {
	for i, v := range []*rotate.Version{&st.Current, st.Previous, st.Pending} {
		if v != nil {
			all[i] = v.Token
		}
	}
	return all
}

// gone reports whether a process has taken from user what its sessions are of.
func (s *scene) gone(r report, user string) bool {
	for _, n := range r.notes {
		switch n.Step {
		case rotate.StepDisable, rotate.StepRemove, rotate.StepSet:
			if n.User == user {
				return true
			}
		}
	}
	return false
}
