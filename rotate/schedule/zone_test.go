package schedule_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	_ "time/tzdata" // the machine's own may be missing

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate/schedule"
)

func zone(name string) *time.Location {
	loc, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return loc
}

// switches are weeks in which clocks are changed, each in another way.
var switches = []struct {
	zone string
	day  string
}{
	{"Europe/Berlin", "2026-03-29"},       // 02:00 to 03:00
	{"Europe/Berlin", "2026-10-25"},       // 03:00 to 02:00
	{"America/New_York", "2026-03-08"},    // 02:00 to 03:00
	{"America/New_York", "2026-11-01"},    // 02:00 to 01:00
	{"America/Sao_Paulo", "2018-11-04"},   // 00:00 to 01:00
	{"America/Sao_Paulo", "2018-02-18"},   // 00:00 to 23:00 of the day before
	{"Australia/Lord_Howe", "2026-10-04"}, // by half an hour
	{"Australia/Lord_Howe", "2026-04-05"},
	{"Pacific/Apia", "2011-12-30"}, // a whole day is skipped
	{"Asia/Kathmandu", "2026-01-01"},
}

func at(t *testing.T, zoneName, text string) time.Time {
	t.Helper()
	parsed, err := time.ParseInLocation("2006-01-02 15:04:05", text, zone(zoneName))
	require.NoError(t, err)
	return parsed
}

// open says by what a clock shows whether a window is open.
func open(w schedule.Window, t time.Time) bool {
	t = t.In(w.Zone)
	on := func(d time.Weekday) bool { return len(w.Days) == 0 || slices.Contains(w.Days, d) }
	clock := time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
	if w.Start < w.End {
		return on(t.Weekday()) && clock >= w.Start && clock < w.End
	}
	// After midnight it is that of the date before, which is not always the
	// weekday of 24 hours ago.
	return on(t.Weekday()) && clock >= w.Start || on((t.Weekday()+6)%7) && clock < w.End
}

// Windows of all kinds are compared, minute by minute, with what clocks show.
func TestWindowsFollowTheClocks(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 61))
	due := schedule.Func(func(_, now time.Time) time.Time { return now })
	for _, s := range switches {
		t.Run(s.zone+" "+s.day, func(t *testing.T) {
			for range 12 {
				w := schedule.Window{
					Start: time.Duration(r.IntN(96)) * 15 * time.Minute,
					End:   time.Duration(1+r.IntN(96)) * 15 * time.Minute,
					Zone:  zone(s.zone),
				}
				if r.IntN(2) == 0 { // near the change
					w.Start, w.End = w.Start%(4*time.Hour), w.Start%(4*time.Hour)+15*time.Minute
				}
				for d := range time.Weekday(7) {
					if r.IntN(3) == 0 {
						w.Days = append(w.Days, d)
					}
				}
				if w.Start == w.End {
					continue
				}
				within, err := schedule.Within(due, w)
				require.NoError(t, err)
				// Backwards, so that the next open minute is always known.
				from := at(t, s.zone, s.day+" 12:00:00").Add(-3 * day)
				end := from.Add(16 * day)
				var next time.Time
				for now := end; now.After(from); now = now.Add(-time.Minute) {
					if open(w, now) {
						next = now
					}
					if next.IsZero() || now.Sub(from) > 5*day {
						continue // beyond the change
					}
					got := within.Next(time.Time{}, now)
					if !got.Equal(next) {
						require.Equal(t, next.String(), got.In(w.Zone).String(), "%+v at %v", w, now)
					}
				}
			}
		})
	}
}

func TestWindowsOnTheDaysOfTheChange(t *testing.T) {
	const berlin = "Europe/Berlin"
	for name, test := range map[string]struct {
		start, end time.Duration
		at, want   string // in UTC
	}{
		"spring, before":                 {2 * time.Hour, 4 * time.Hour, "2026-03-28 23:00:00", "2026-03-29 01:00:00"},
		"spring, starts in the gap":      {150 * time.Minute, 4 * time.Hour, "2026-03-28 23:00:00", "2026-03-29 01:00:00"},
		"spring, all of it in the gap":   {2 * time.Hour, 3 * time.Hour, "2026-03-28 23:00:00", "2026-03-30 00:00:00"},
		"spring, ends in the gap":        {time.Hour, 150 * time.Minute, "2026-03-29 01:00:00", "2026-03-29 23:00:00"},
		"autumn, opens":                  {150 * time.Minute, 4 * time.Hour, "2026-10-24 22:00:00", "2026-10-25 00:30:00"},
		"autumn, closed in second two":   {150 * time.Minute, 4 * time.Hour, "2026-10-25 01:00:00", "2026-10-25 01:30:00"},
		"autumn, open in second two":     {time.Hour, 3 * time.Hour, "2026-10-25 01:59:00", "2026-10-25 01:59:00"},
		"autumn, closed after both":      {time.Hour, 3 * time.Hour, "2026-10-25 02:00:00", "2026-10-26 00:00:00"},
		"autumn, through midnight":       {23 * time.Hour, 150 * time.Minute, "2026-10-25 00:45:00", "2026-10-25 01:00:00"},
		"summer, where the day is UTC's": {22 * time.Hour, 23 * time.Hour, "2026-07-01 20:30:00", "2026-07-01 20:30:00"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := schedule.Within(schedule.Func(func(_, now time.Time) time.Time { return now }),
				schedule.Window{Start: test.start, End: test.end, Zone: zone(berlin)})
			require.NoError(t, err)
			require.Equal(t, at(t, "UTC", test.want), s.Next(time.Time{}, at(t, "UTC", test.at)))
		})
	}
}

func TestWithinIsDueInTheFirstWindow(t *testing.T) {
	monthly, err := schedule.Every(30*day, 0, "")
	require.NoError(t, err)
	s, err := schedule.Within(monthly,
		schedule.Window{Days: []time.Weekday{time.Sunday}, Start: 2 * time.Hour, End: 4 * time.Hour},
		schedule.Window{Days: []time.Weekday{time.Wednesday}, Start: 22 * time.Hour, End: time.Hour})
	require.NoError(t, err)
	last := at(t, "UTC", "2026-05-01 12:00:00") // due on Sunday, 31 May, at noon
	for now, want := range map[string]string{
		"2026-05-01 12:00:00": "2026-06-03 22:00:00",
		"2026-06-03 23:59:59": "2026-06-03 23:59:59",
		"2026-06-04 00:59:59": "2026-06-04 00:59:59",
		"2026-06-04 01:00:00": "2026-06-07 02:00:00", // missed
	} {
		require.Equal(t, at(t, "UTC", want), s.Next(last, at(t, "UTC", now)), now)
	}
	never, err := schedule.Within(schedule.Func(func(_, _ time.Time) time.Time { return time.Time{} }), schedule.Window{End: day})
	require.NoError(t, err)
	require.Zero(t, never.Next(last, last))
}

func TestWindowsAreCopied(t *testing.T) {
	days := []time.Weekday{time.Sunday}
	windows := []schedule.Window{{Days: days, End: day}}
	s, err := schedule.Within(schedule.Func(func(_, now time.Time) time.Time { return now }), windows...)
	require.NoError(t, err)
	days[0] = time.Monday
	windows[0].Start = -1
	require.Equal(t, at(t, "UTC", "2026-06-07 00:00:00"), s.Next(start, at(t, "UTC", "2026-06-03 12:00:00")))
}

func TestCronOnTheDaysOfTheChange(t *testing.T) {
	for name, test := range map[string]struct {
		expression, zone string
		last, want       string // in UTC
	}{
		"plain":                      {"30 2 * * *", "UTC", "2026-03-29 02:30:00", "2026-03-30 02:30:00"},
		"spring, skipped":            {"30 2 * * *", "Europe/Berlin", "2026-03-28 12:00:00", "2026-03-29 01:00:00"},
		"spring, the day after":      {"30 2 * * *", "Europe/Berlin", "2026-03-29 01:00:00", "2026-03-30 00:30:00"},
		"spring, quarters":           {"*/15 * * * *", "Europe/Berlin", "2026-03-29 00:45:00", "2026-03-29 01:00:00"},
		"spring, quarters after":     {"*/15 * * * *", "Europe/Berlin", "2026-03-29 01:00:00", "2026-03-29 01:15:00"},
		"autumn, the first time":     {"30 2 * * *", "Europe/Berlin", "2026-10-24 12:00:00", "2026-10-25 00:30:00"},
		"autumn, not twice":          {"30 2 * * *", "Europe/Berlin", "2026-10-25 00:30:00", "2026-10-26 01:30:00"},
		"autumn, in between":         {"30 2 * * *", "Europe/Berlin", "2026-10-25 01:10:00", "2026-10-26 01:30:00"},
		"autumn, hours":              {"0 * * * *", "Europe/Berlin", "2026-10-25 00:00:00", "2026-10-25 02:00:00"},
		"midnight is skipped":        {"0 0 * * *", "America/Sao_Paulo", "2018-11-03 12:00:00", "2018-11-04 03:00:00"},
		"the day is skipped":         {"0 12 * * *", "Pacific/Apia", "2011-12-29 22:00:00", "2011-12-30 10:00:00"},
		"leap day, eight years away": {"0 0 29 2 *", "UTC", "2096-03-01 00:00:00", "2104-02-29 00:00:00"},
		"either of two":              {"0 0 13 * FRI", "UTC", "2026-01-01 00:00:00", "2026-01-02 00:00:00"},
		"a name":                     {"@monthly", "Asia/Kathmandu", "2026-01-01 00:00:00", "2026-01-31 18:15:00"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := schedule.Cron(test.expression, zone(test.zone))
			require.NoError(t, err)
			last := at(t, "UTC", test.last)
			require.Equal(t, at(t, "UTC", test.want), s.Next(last, last))
		})
	}
}

func TestCronThatWasMissedIsDueNow(t *testing.T) {
	s, err := schedule.Cron("0 3 1 * *", nil)
	require.NoError(t, err)
	last, now := at(t, "UTC", "2026-01-01 03:00:00"), at(t, "UTC", "2026-02-01 03:00:01")
	require.Equal(t, now, s.Next(last, now))
	require.Equal(t, at(t, "UTC", "2026-03-01 03:00:00"), s.Next(time.Time{}, now), "never rotated: it waits")
}

// Every day has its one rotation, on whatever day clocks change.
func TestCronLeavesNoDayOut(t *testing.T) {
	for _, s := range switches {
		for _, expression := range []string{"0 0 * * *", "30 0 * * *", "30 1 * * *", "30 2 * * *", "59 23 * * *"} {
			daily, err := schedule.Cron(expression, zone(s.zone))
			require.NoError(t, err)
			last := at(t, s.zone, s.day+" 12:00:00").Add(-5 * day)
			for range 10 {
				next := daily.Next(last, last)
				require.Greater(t, next.Sub(last), time.Duration(0))
				require.LessOrEqual(t, next.Sub(last), 25*time.Hour, "%s in %s after %v", expression, s.zone, last)
				last = next
			}
		}
	}
}

func FuzzCron(f *testing.F) {
	for _, expression := range []string{"30 2 * * SUN", "@daily", "TZ=", "*/0 * * * *", "1-2/3 4,5 * JAN-DEC ?", "@every 1s", "0-59 0 29 2 *"} {
		f.Add(expression, int64(1774746000), uint8(0))
	}
	f.Fuzz(func(t *testing.T, expression string, unix int64, place uint8) {
		s, err := schedule.Cron(expression, zone(switches[int(place)%len(switches)].zone))
		if err != nil {
			return
		}
		last := time.Unix(unix%(200*365*24*3600), 0)
		next := s.Next(last, last)
		require.True(t, next.After(last), "%q: %v after %v", expression, next, last)
		require.False(t, s.Next(last, next).Before(next))
	})
}

func FuzzWithin(f *testing.F) {
	f.Add(int64(1774746000), int64(3600), int64(7200), uint8(1), uint8(0))
	f.Add(int64(1774746000), int64(7200), int64(3600), uint8(0x7f), uint8(1))
	f.Fuzz(func(t *testing.T, unix, from, to int64, days, place uint8) {
		w := schedule.Window{Start: time.Duration(from % 86400 * 1e9), End: time.Duration(to % 86401 * 1e9), Zone: zone(switches[int(place)%len(switches)].zone)}
		for d := range time.Weekday(7) {
			if days&(1<<d) != 0 {
				w.Days = append(w.Days, d)
			}
		}
		s, err := schedule.Within(schedule.Func(func(_, now time.Time) time.Time { return now }), w)
		if err != nil {
			return
		}
		now := time.Unix(unix%(200*365*24*3600), 0)
		next := s.Next(time.Time{}, now)
		require.False(t, next.Before(now))
		// A week has each weekday, but for Samoa's that had no Friday, and a window may be in the skipped hour.
		require.Less(t, next.Sub(now), 15*day)
		require.True(t, s.Next(time.Time{}, next).Equal(next), "it is open when it opens")
	})
}
