package refresh

import (
	"math/rand/v2"
	"slices"
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

func TestLastMoment(t *testing.T) {
	now := time.Now()
	hour := source.Credential{Issued: now, Expires: now.Add(time.Hour)}
	for name, c := range map[string]struct {
		opts    Options
		slowest time.Duration
		ahead   time.Duration
	}{
		"the last sixth":       {Options{}, 0, 10 * time.Minute},
		"less":                 {Options{Ahead: time.Minute}, 0, time.Minute},
		"more":                 {Options{Ahead: 30 * time.Minute}, 0, 10 * time.Minute},
		"slow":                 {Options{Ahead: time.Minute}, 20 * time.Minute, 20 * time.Minute},
		"slower than its life": {Options{}, 2 * time.Hour, 54 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, hour.Expires.Add(-c.ahead), lastMoment(hour, &c.opts, c.slowest))
		})
	}
	assert.Zero(t, lastMoment(source.Credential{Issued: now}, &Options{}, 0))
}

func TestLeaseAt(t *testing.T) {
	now := time.Now()
	in := func(d time.Duration) time.Time { return now.Add(d) }
	// Each lease is given by when it is gone, an hour's leases being granted 5 s.
	leases := func(gone ...time.Duration) (live []source.Credential) {
		for _, d := range gone {
			end := in(d - 5*time.Second)
			c := source.Credential{Issued: end.Add(-time.Hour), Expires: end}
			if d == 0 {
				c.Expires = time.Time{} // has no end
			}
			live = append(live, c)
		}
		return live
	}
	const minute = time.Minute
	for name, c := range map[string]struct {
		live    []source.Credential
		end     time.Time // of the current one
		last    time.Time
		granted time.Duration // ago
		urgent  bool
		hurried int
		ok      bool
		at      time.Time
	}{
		"none":                          {ok: true},
		"one":                           {live: leases(minute), ok: true},
		"one, urgent":                   {live: leases(minute), urgent: true, ok: true},
		"two":                           {live: leases(50*minute, 10*minute), last: in(40 * minute), at: in(10 * minute)},
		"the current one ends first":    {live: leases(50*minute, 10*minute), last: in(5 * minute), at: in(5 * minute)},
		"three":                         {live: leases(50*minute, 10*minute, 20*minute), last: in(40 * minute), at: in(20 * minute)},
		"two without an end":            {live: leases(0, 0)},
		"one of two without an end":     {live: leases(0, minute), at: in(minute)},
		"one of three without an end":   {live: leases(2*minute, 0, minute), at: in(2 * minute)},
		"two, urgent":                   {live: leases(50*minute, 10*minute), urgent: true, ok: true, at: now},
		"two without an end, urgent":    {live: leases(0, 0), urgent: true, ok: true, at: now},
		"three, urgent":                 {live: leases(50*minute, 10*minute, 20*minute), urgent: true, at: in(time.Second)},
		"three, urgent, a while ago":    {live: leases(50*minute, 10*minute, 20*minute), urgent: true, granted: time.Second, ok: true, at: now},
		"six, urgent":                   {live: leases(0, 0, 0, 0, 0, 0), urgent: true, granted: time.Second, at: in(7 * time.Second)},
		"six, urgent, but five end":     {live: leases(1*time.Second, 0, 2*time.Second, 3*time.Second, time.Second, time.Second), urgent: true, at: in(3 * time.Second)},
		"a hundred, urgent":             {live: make([]source.Credential, 100), urgent: true, at: in(time.Second << 30)},
		"hurried":                       {live: leases(minute), urgent: true, hurried: 1, at: in(time.Second)},
		"hurried, but not now":          {live: leases(minute), hurried: 1, ok: true},
		"hurried for the fifth time":    {live: leases(minute), urgent: true, hurried: 5, granted: 6 * time.Second, at: in(10 * time.Second)},
		"hurried all the time":          {live: leases(minute), urgent: true, hurried: 100, at: in(longestRefusal)},
		"hurried, but the end is near":  {live: leases(minute), end: in(3 * time.Second), urgent: true, hurried: 100, at: in(3 * time.Second)},
		"hurried, and the end has come": {live: leases(minute), end: now, urgent: true, hurried: 100, ok: true, at: now},
		"hurried with three":            {live: leases(0, 0, 0), urgent: true, hurried: 3, at: in(4 * time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			ok, at := leaseAt(now, c.live, c.end, c.last, now.Add(-c.granted), c.urgent, c.hurried)
			assert.Equal(t, c.ok, ok)
			assert.Equal(t, c.at, at)
		})
	}
}

// Whoever always needs another lease and never gets one revoked.
func TestLeaseAtBoundsWhatIsAlive(t *testing.T) {
	for ttl, most := range map[time.Duration]int{time.Hour: 14, time.Minute: 8, 10 * time.Second: 6, time.Second: 4} {
		now := time.Now()
		var live []source.Credential
		granted := now
		peak := 0
		for end := now.Add(20 * ttl); now.Before(end); {
			live = slices.DeleteFunc(live, func(c source.Credential) bool { return reached(now, c.Expires) })
			if ok, at := leaseAt(now, live, time.Time{}, time.Time{}, granted, true, 0); !ok {
				now = at
				continue
			}
			live = append(live, source.Credential{Issued: now, Expires: now.Add(ttl)})
			granted = now
			peak = max(peak, len(live))
		}
		assert.LessOrEqual(t, peak, most, ttl)
		assert.GreaterOrEqual(t, peak, most-4, ttl)
	}
}
