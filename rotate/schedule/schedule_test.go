package schedule_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate/schedule"
)

const day = 24 * time.Hour

var start = time.Date(2026, 1, 10, 9, 0, 0, 0, time.UTC)

func TestEveryIsNeverLateAndSpreads(t *testing.T) {
	s, err := schedule.Every(90*day, 9*day, "orders")
	require.NoError(t, err)
	require.Equal(t, start, s.Next(time.Time{}, start), "never rotated")
	tenths := map[int]int{}
	const secrets = 1000
	for i := range secrets {
		s, err := schedule.Every(90*day, 9*day, fmt.Sprint("secret ", i))
		require.NoError(t, err)
		next := s.Next(start, start)
		require.Equal(t, next, s.Next(start, start.Add(time.Hour)), "the same whenever it is asked")
		early := start.Add(90 * day).Sub(next)
		require.GreaterOrEqual(t, early, time.Duration(0))
		require.Less(t, early, 9*day)
		tenths[int(early*10/(9*day))]++
	}
	for i := range 10 {
		require.InDelta(t, secrets/10, tenths[i], 40, "part %d of the jitter", i)
	}
	// One secret does not keep its place either.
	other := s.Next(start.Add(time.Second), start).Sub(s.Next(start, start))
	require.NotEqual(t, time.Second, other)
	// Another zone is the same time.
	require.True(t, s.Next(start, start).Equal(s.Next(start.In(zone("Asia/Tokyo")), start)))
}

func TestEveryWithoutJitter(t *testing.T) {
	s, err := schedule.Every(day, 0, "")
	require.NoError(t, err)
	require.Equal(t, start.Add(day), s.Next(start, start))
	require.Equal(t, start.Add(day), s.Next(start, start.Add(day)))
	require.Equal(t, start.Add(day+1), s.Next(start, start.Add(day+1)), "overdue")
}

func TestBeforeExpiry(t *testing.T) {
	var end time.Time
	s, err := schedule.BeforeExpiry(func() time.Time { return end }, 30*day)
	require.NoError(t, err)
	require.Zero(t, s.Next(start, start), "it has no end")
	end = start.Add(90 * day)
	require.Equal(t, start.Add(60*day), s.Next(start, start))
	require.Equal(t, start.Add(70*day), s.Next(start, start.Add(70*day)), "overdue")
	require.Equal(t, 30*day, schedule.Renewal(start, end))
	require.Zero(t, schedule.Renewal(end, start))
}

func TestFor(t *testing.T) {
	for kind, want := range map[schedule.Kind][2]time.Duration{
		schedule.APIKey:              {30 * day, 90 * day},
		schedule.DatabasePassword:    {90 * day, 90 * day},
		schedule.EncryptionKey:       {365 * day, 365 * day},
		schedule.ServiceAccountToken: {90 * day, 90 * day},
	} {
		shortest, longest, ok := kind.Interval()
		require.True(t, ok)
		require.Equal(t, want, [2]time.Duration{shortest, longest})
		s, err := schedule.For(kind, "orders")
		require.NoError(t, err)
		interval := s.Next(start, start).Sub(start)
		require.GreaterOrEqual(t, interval, shortest*9/10)
		require.LessOrEqual(t, interval, longest)
	}
	_, _, ok := schedule.Certificate.Interval()
	require.False(t, ok)
}

func TestArguments(t *testing.T) {
	monthly, err := schedule.Every(30*day, 0, "")
	require.NoError(t, err)
	every := func(interval, jitter time.Duration) error {
		_, err := schedule.Every(interval, jitter, "")
		return err
	}
	within := func(w ...schedule.Window) error {
		_, err := schedule.Within(monthly, w...)
		return err
	}
	cron := func(expression string) error {
		_, err := schedule.Cron(expression, nil)
		return err
	}
	before := func(expires func() time.Time, ahead time.Duration) error {
		_, err := schedule.BeforeExpiry(expires, ahead)
		return err
	}
	kind := func(kind schedule.Kind) error {
		_, err := schedule.For(kind, "")
		return err
	}
	_, nothing := schedule.Within(nil, schedule.Window{End: day})
	for name, test := range map[string]struct {
		err    error
		option string
	}{
		"no interval":       {every(0, 0), "interval"},
		"negative interval": {every(-day, 0), "interval"},
		"negative jitter":   {every(day, -1), "jitter"},
		"all jitter":        {every(day, day), "jitter"},
		"no expiry":         {before(nil, day), "expires"},
		"not ahead":         {before(func() time.Time { return start }, 0), "ahead"},
		"certificate":       {kind(schedule.Certificate), "kind"},
		"unknown kind":      {kind("passport"), "kind"},
		"no schedule":       {nothing, "schedule"},
		"no windows":        {within(), "windows"},
		"zero window":       {within(schedule.Window{}), "window 1"},
		"second window":     {within(schedule.Window{End: day}, schedule.Window{Start: -1, End: day}), "window 2"},
		"starts too late":   {within(schedule.Window{Start: day, End: 1}), "window 1"},
		"ends too late":     {within(schedule.Window{End: day + 1}), "window 1"},
		"no time":           {within(schedule.Window{Start: 2, End: 2}), "window 1"},
		"eighth day":        {within(schedule.Window{Days: []time.Weekday{7}, End: day}), "window 1"},
		"empty cron":        {cron(""), "expression"},
		"six fields":        {cron("0 0 0 * * *"), "expression"},
		"minute 60":         {cron("60 0 * * *"), "expression"},
		"word":              {cron("@often"), "expression"},
		"an interval":       {cron("@every 1h"), "expression"},
		"a zone":            {cron("CRON_TZ=Europe/Berlin 0 0 * * *"), "expression"},
		"half a zone":       {cron("TZ="), "expression"},
		"no such day":       {cron("0 0 31 4,6 *"), "expression"},
		"leap day":          {cron("0 0 29 2 *"), ""},
		"whole day":         {within(schedule.Window{End: day}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			if test.option == "" {
				require.NoError(t, test.err)
				return
			}
			var option *schedule.OptionError
			require.ErrorAs(t, test.err, &option)
			require.Equal(t, test.option, option.Option)
		})
	}
}

func TestValidate(t *testing.T) {
	for _, test := range []struct {
		interval, lifetime, propagation time.Duration
		change                          string // "": fine
	}{
		{time.Hour + time.Minute + 1, time.Hour, time.Minute, ""},
		{time.Hour + time.Minute, time.Hour, time.Minute, "lifetime"},
		{2 * time.Minute, time.Hour, time.Minute, "lifetime"},
		{time.Minute, time.Hour, time.Minute, "interval"},
		{time.Hour, time.Minute, time.Hour, "interval"},
		{90 * time.Minute, time.Minute, 2 * time.Hour, "interval"},
		{70 * time.Second, 30 * time.Second, time.Minute, "interval"},
		{time.Hour, time.Minute, 0, ""},
		{math.MaxInt64, math.MaxInt64, math.MaxInt64, "interval"},
	} {
		err := schedule.Validate(test.interval, test.lifetime, test.propagation)
		if test.change == "" {
			require.NoError(t, err)
			continue
		}
		var interval *schedule.IntervalError
		require.ErrorAs(t, err, &interval)
		require.Equal(t, schedule.IntervalError{
			Interval: test.interval, Lifetime: test.lifetime, Propagation: test.propagation, Change: test.change,
		}, *interval)
		advice := map[string]string{"interval": "make the interval longer", "lifetime": "let connections live for less"}
		require.Contains(t, err.Error(), advice[test.change])
	}
	for _, test := range []struct {
		interval, lifetime, propagation time.Duration
		option                          string
	}{
		{0, time.Hour, 0, "interval"},
		{time.Hour, 0, 0, "lifetime"},
		{time.Hour, -1, 0, "lifetime"},
		{time.Hour, time.Minute, -1, "propagation"},
	} {
		var option *schedule.OptionError
		require.ErrorAs(t, schedule.Validate(test.interval, test.lifetime, test.propagation), &option)
		require.Equal(t, test.option, option.Option)
	}
}

func TestShortest(t *testing.T) {
	daily, err := schedule.Cron("30 2 * * *", zone("Europe/Berlin"))
	require.NoError(t, err)
	// The day on which clocks are put forward, to the half hour.
	require.Equal(t, 23*time.Hour+30*time.Minute, schedule.Shortest(daily, start, 365))
	every, err := schedule.Every(90*day, 9*day, "x")
	require.NoError(t, err)
	require.InDelta(t, 81*day, schedule.Shortest(every, start, 1000), float64(day/10))
	require.Zero(t, schedule.Shortest(daily, start, 1))
	never := schedule.Func(func(_, _ time.Time) time.Time { return time.Time{} })
	require.Zero(t, schedule.Shortest(never, start, 10))
}
