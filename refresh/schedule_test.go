package refresh

import (
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/source"
)

func TestRefreshAt(t *testing.T) {
	now := time.Now()
	in := func(d time.Duration) time.Time { return now.Add(d) }
	hour := source.Credential{Issued: now, Expires: in(time.Hour)}
	for name, c := range map[string]struct {
		cred     source.Credential
		opts     Options
		slowest  time.Duration
		from, to time.Time // for random numbers 1 and 0
	}{
		"a third ahead":               {hour, Options{}, 0, in(20 * time.Minute), in(40 * time.Minute)},
		"ahead":                       {hour, Options{Ahead: 10 * time.Minute}, 0, in(25 * time.Minute), in(50 * time.Minute)},
		"slower than ahead":           {hour, Options{Ahead: time.Second}, 30 * time.Minute, in(15 * time.Minute), in(30 * time.Minute)},
		"faster than ahead":           {hour, Options{Ahead: 10 * time.Minute}, time.Second, in(25 * time.Minute), in(50 * time.Minute)},
		"ahead of more than there is": {hour, Options{Ahead: 2 * time.Hour}, 0, in(3 * time.Minute), in(6 * time.Minute)},
		"slower than its life":        {hour, Options{}, 2 * time.Hour, in(3 * time.Minute), in(6 * time.Minute)},
		"recheck first": {
			source.Credential{Issued: now, Expires: in(time.Hour), Recheck: in(time.Minute)},
			Options{},
			0, in(time.Minute), in(time.Minute),
		},
		"recheck last": {
			source.Credential{Issued: now, Expires: in(time.Hour), Recheck: in(2 * time.Hour)},
			Options{},
			0, in(20 * time.Minute), in(40 * time.Minute),
		},
		"recheck only": {source.Credential{Recheck: in(time.Minute)}, Options{Poll: time.Second}, 0, in(time.Minute), in(time.Minute)},
		"poll":         {source.Credential{Issued: now}, Options{Poll: 5 * time.Minute}, 0, in(4 * time.Minute), in(5 * time.Minute)},
		"never":        {source.Credential{Issued: now}, Options{Poll: -1}, 0, time.Time{}, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.from, refreshAt(now, c.cred, &c.opts, c.slowest, 1))
			assert.Equal(t, c.to, refreshAt(now, c.cred, &c.opts, c.slowest, 0))
		})
	}
}

func FuzzRefreshAt(f *testing.F) {
	f.Add(int64(time.Hour), int64(0), int64(0), 0.5)
	f.Add(int64(time.Millisecond), int64(time.Minute), int64(time.Hour), 0.0)
	f.Add(int64(1), int64(-1), int64(1), 0.99)
	f.Fuzz(func(t *testing.T, lifetime, ahead, slowest int64, rnd float64) {
		if lifetime <= 0 || lifetime > int64(1000*24*time.Hour) || slowest < 0 || !(rnd >= 0 && rnd < 1) {
			return
		}
		issued := time.Now()
		c := source.Credential{Issued: issued, Expires: issued.Add(time.Duration(lifetime))}
		at := refreshAt(issued, c, &Options{Ahead: time.Duration(ahead)}, time.Duration(slowest), rnd)
		if at.Before(issued) {
			t.Errorf("refreshed %v before it was issued", issued.Sub(at))
		}
		if at.After(c.Expires) {
			t.Errorf("refreshed %v after its end", at.Sub(c.Expires))
		}
	})
}

// A thousand processes start together, and everyone draws the moment of each
// refresh from the schedule.
func TestRefreshAtSpreadsAFleet(t *testing.T) {
	const fleet, ttl, settled, horizon = 1000, 60, 3 * 60, 20 * 60
	rnd := rand.New(rand.NewPCG(1, 2))
	start := time.Now()
	var perSecond [horizon]int
	for range fleet {
		for at := start; ; {
			c := source.Credential{Issued: at, Expires: at.Add(ttl * time.Second)}
			at = refreshAt(at, c, &Options{}, 0, rnd.Float64())
			second := int(at.Sub(start) / time.Second)
			if second >= horizon {
				break
			}
			perSecond[second]++
		}
	}
	peak, sum := 0, 0
	for _, n := range perSecond[settled:] {
		peak = max(peak, n)
		sum += n
	}
	mean := float64(sum) / (horizon - settled)
	assert.InDelta(t, fleet/30.0, mean, 1, "every 30 s on average")
	assert.LessOrEqual(t, float64(peak), 2*mean)
}

func TestBackoff(t *testing.T) {
	const base, limit = 500 * time.Millisecond, 30 * time.Second
	for n, want := range map[int]time.Duration{1: base, 2: 2 * base, 3: 4 * base, 6: 16 * time.Second, 7: limit, 31: limit, 32: limit, 1000: limit} {
		assert.Equal(t, want, backoff(n, base, limit, 1), n)
		assert.Equal(t, want/2, backoff(n, base, limit, 0.5), n)
		assert.Equal(t, base/10, backoff(n, base, limit, 0), n)
	}
	assert.Equal(t, time.Hour, backoff(40, time.Hour, time.Hour, 1), "no overflow")
	assert.Equal(t, 365*24*time.Hour, backoff(20, 24*time.Hour, 365*24*time.Hour, 1))
}

func TestMargin(t *testing.T) {
	for _, c := range []struct{ lifetime, option, want time.Duration }{
		{time.Hour, 0, 5 * time.Second},
		{10 * time.Second, 0, time.Second},
		{time.Hour, time.Minute, time.Minute},
		{time.Hour, -1, 0},
		{10 * time.Second, time.Minute, 5 * time.Second}, // else it would have ended when it comes
		{-time.Second, time.Minute, 0},
		{-time.Second, 0, 0},
	} {
		assert.Equal(t, c.want, margin(c.lifetime, c.option), c)
	}
}

func TestTruncated(t *testing.T) {
	for _, c := range []struct {
		granted time.Duration
		want    bool
	}{
		{time.Hour, false},
		{2 * time.Hour, false},
		{time.Hour - 999*time.Millisecond, false}, // whole seconds
		{time.Hour - 1001*time.Millisecond, true},
		{0, true},
	} {
		assert.Equal(t, c.want, truncated(c.granted, time.Hour), c)
	}
}

func TestEarlierAndLater(t *testing.T) {
	a, b, never := time.Unix(1, 0), time.Unix(2, 0), time.Time{}
	assert.Equal(t, a, earlier(a, b))
	assert.Equal(t, a, earlier(b, a))
	assert.Equal(t, a, earlier(never, a))
	assert.Equal(t, a, earlier(a, never))
	assert.True(t, earlier(never, never).IsZero())
	assert.Equal(t, b, later(a, b))
	assert.Equal(t, b, later(b, a))
}

// monotonic moves only the monotonic reading of now by d, as if the wall clock
// had stood still meanwhile. With now.Add it makes any pair of readings.
func monotonic(t *testing.T, now time.Time, d time.Duration) time.Time {
	t.Helper()
	moved := now
	(*struct {
		wall uint64
		ext  int64
		loc  *time.Location
	})(unsafe.Pointer(&moved)).ext += int64(d)
	require.True(t, moved.Round(0).Equal(now.Round(0)), "the wall clock has not moved")
	require.Equal(t, d, moved.Sub(now), "the monotonic clock has")
	return moved
}

func TestF20_TwoClocks(t *testing.T) {
	now := time.Now()
	opts := (*Options)(nil).withDefaults()
	jump := func(wall, mono time.Duration) time.Time {
		return monotonic(t, now.Add(wall), mono-wall)
	}
	for _, told := range []struct {
		how     string
		expires time.Time
	}{
		{"on both clocks", now.Add(30 * time.Minute)},
		{"by the wall clock only", now.Add(30 * time.Minute).Round(0)},
	} {
		g := newGeneration(1, source.Credential{Issued: now, Expires: told.expires, EndsSessions: true}, now, &opts)
		for _, c := range []struct {
			what       string
			wall, mono time.Duration
			want       bool
		}{
			{"before", 29 * time.Minute, 29 * time.Minute, false},
			{"after", 31 * time.Minute, 31 * time.Minute, true},
			{"within the margin", 30*time.Minute - time.Second, 30*time.Minute - time.Second, true},
			{"suspended for an hour", time.Hour, 0, true},
			{"wall clock an hour back, before", time.Minute - time.Hour, time.Minute, false},
			{"wall clock an hour back, after", 31*time.Minute - time.Hour, 31 * time.Minute, true},
			{"wall clock an hour on", time.Minute + time.Hour, time.Minute, true},
		} {
			assert.Equal(t, c.want, g.ended(jump(c.wall, c.mono)), "%s, told %s", c.what, told.how)
			assert.Equal(t, c.want, g.over(jump(c.wall, c.mono)), "%s, told %s", c.what, told.how)
		}
	}
	assert.False(t, reached(now, time.Time{}), "zero never comes")
	assert.True(t, reached(now, now))
	assert.True(t, onBothClocks(now, time.Time{}).IsZero())
}
