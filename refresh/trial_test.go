package refresh

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestTrialDoublesItsPauses(t *testing.T) {
	var tr trial
	now := time.Now()
	assert.True(t, tr.allow(now), "nobody has rejected it")
	assert.False(t, tr.suspect())
	assert.False(t, tr.open())

	for _, pause := range []time.Duration{1, 2, 4, 8} {
		tr.rejected(now, 5, 10*time.Minute)
		assert.True(t, tr.suspect())
		assert.False(t, tr.open())
		assert.Equal(t, now.Add(pause*time.Second), tr.next)
		assert.False(t, tr.allow(tr.next.Add(-1)))
		assert.True(t, tr.allow(tr.next))
		now = tr.next
	}
	for range 2 { // the budget is spent
		tr.rejected(now, 5, 10*time.Minute)
		assert.True(t, tr.open())
		assert.Equal(t, now.Add(10*time.Minute), tr.next)
		assert.Contains(t, tr.again(), tr.next.Format(time.RFC3339))
		now = tr.next
		assert.True(t, tr.allow(now), "one login every long pause")
	}
}

func TestTrialWithoutLongPauseStaysOpen(t *testing.T) {
	var tr trial
	tr.rejected(time.Now(), 1, -1)
	assert.True(t, tr.open())
	assert.False(t, tr.allow(time.Now().Add(1000*time.Hour)))
	assert.Contains(t, tr.again(), "Refresh")
}

func TestTrialNeverPausesLongerThanTheLongPause(t *testing.T) {
	var tr trial
	now := time.Now()
	for range 50 {
		tr.rejected(now, 100, time.Minute)
		assert.LessOrEqual(t, tr.next.Sub(now), time.Minute)
	}
}

func TestTrialHasten(t *testing.T) {
	var tr trial
	now := time.Now()
	tr.hasten(now)
	assert.False(t, tr.suspect())
	tr.rejected(now, 2, time.Minute)
	tr.hasten(now)
	assert.True(t, tr.allow(now))
	tr.rejected(now, 2, time.Minute)
	tr.hasten(now)
	assert.False(t, tr.allow(now.Add(6*time.Second-1)), "the budget is spent")
	assert.True(t, tr.allow(now.Add(6*time.Second)), "a tenth of the long pause")

	tr = trial{}
	tr.rejected(now, 1, -1)
	tr.hasten(now)
	assert.False(t, tr.allow(now.Add(time.Hour)), "there is no long pause")
}

// Whatever is asked and whenever: a rejected credential is sent at most budget
// times before the breaker opens, with at least a doubling pause between, and
// then only once every long pause.
func FuzzTrial(f *testing.F) {
	f.Add(uint64(1), 5, int64(10*time.Minute))
	f.Add(uint64(2), 1, int64(-1))
	f.Add(uint64(3), 40, int64(time.Second))
	f.Fuzz(func(t *testing.T, seed uint64, budget int, pause int64) {
		if budget < 1 || budget > 1000 || pause == 0 || pause > int64(24*time.Hour) {
			return
		}
		rnd := rand.New(rand.NewPCG(seed, seed))
		start := time.Now()
		var tr trial
		var sent []time.Time
		for now := start; now.Sub(start) < 24*time.Hour && len(sent) < 200; now = now.Add(time.Duration(rnd.ExpFloat64() * float64(20*time.Second))) {
			if tr.allow(now) {
				tr.rejected(now, budget, time.Duration(pause))
				sent = append(sent, now)
			}
		}
		for n := 1; n < len(sent); n++ {
			least := time.Duration(pause)
			if n < budget {
				least = firstLoginPause << min(n-1, 30)
				if pause > 0 {
					least = min(least, time.Duration(pause))
				}
			}
			if got := sent[n].Sub(sent[n-1]); got < least {
				t.Errorf("attempt %d came %v after the one before, want at least %v", n+1, got, least)
			}
		}
		if pause < 0 && len(sent) > budget {
			t.Errorf("%d attempts, the budget is %d", len(sent), budget)
		}
	})
}
