package smserver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWindow(t *testing.T) {
	days := func(n int64) *int64 { return &n }
	const last = "2026-03-10 15:30:00" // a Tuesday
	cases := []struct {
		name          string
		rules         rules
		last          string // empty: that above
		opens, closes string
	}{
		{"days", rules{AutomaticallyAfterDays: days(30)}, "", "2026-04-09 00:00:00", "2026-04-09 23:59:59"},
		{"days with a window", rules{AutomaticallyAfterDays: days(1), Duration: "3h"}, "", "2026-03-11 00:00:00", "2026-03-11 03:00:00"},
		{"rate in days", rules{ScheduleExpression: "rate(10 days)"}, "", "2026-03-20 00:00:00", "2026-03-20 23:59:59"},
		{"rate of a day", rules{ScheduleExpression: "rate(1 day)"}, "", "2026-03-11 00:00:00", "2026-03-11 23:59:59"},
		{"rate in hours", rules{ScheduleExpression: "rate(12 hours)"}, "", "2026-03-11 00:00:00", "2026-03-11 01:00:00"},
		{"rate in hours, same day", rules{ScheduleExpression: "rate(4 hours)"}, "", "2026-03-10 16:00:00", "2026-03-10 17:00:00"},
		{"cron: daily", rules{ScheduleExpression: "cron(0 8 * * ? *)"}, "", "2026-03-11 08:00:00", "2026-03-11 23:59:59"},
		{"cron: daily with a window", rules{ScheduleExpression: "cron(0 16 * * ? *)", Duration: "2h"}, "", "2026-03-10 16:00:00", "2026-03-10 18:00:00"},
		{"cron: every eight hours", rules{ScheduleExpression: "cron(0 0/8 * * ? *)"}, "", "2026-03-10 16:00:00", "2026-03-10 17:00:00"},
		{"cron: first of the month", rules{ScheduleExpression: "cron(0 8 1 * ? *)"}, "", "2026-04-01 08:00:00", "2026-04-01 23:59:59"},
		{"cron: every third month", rules{ScheduleExpression: "cron(0 8 1 1/3 ? *)"}, "", "2026-04-01 08:00:00", "2026-04-01 23:59:59"},
		{"cron: last of the month", rules{ScheduleExpression: "cron(0 17 L * ? *)"}, "2026-02-01 00:00:00", "2026-02-28 17:00:00", "2026-02-28 23:59:59"},
		{"cron: working days", rules{ScheduleExpression: "cron(0 8 ? * MON-FRI *)"}, "2026-03-13 09:00:00", "2026-03-16 08:00:00", "2026-03-16 23:59:59"},
		{"cron: Sundays", rules{ScheduleExpression: "cron(0 8 ? * 1 *)"}, "", "2026-03-15 08:00:00", "2026-03-15 23:59:59"},
		{"cron: second Sunday", rules{ScheduleExpression: "cron(0 8 ? * 1#2 *)"}, "2026-03-08 08:00:00", "2026-04-12 08:00:00", "2026-04-12 23:59:59"},
		{"cron: last Saturday", rules{ScheduleExpression: "cron(0 8 ? * SATL *)"}, "", "2026-03-28 08:00:00", "2026-03-28 23:59:59"},
		{"cron: leap days", rules{ScheduleExpression: "cron(0 0 29 feb ? *)"}, "", "2028-02-29 00:00:00", "2028-02-29 23:59:59"},
		{"cron: hours in a list", rules{ScheduleExpression: "cron(0 1,20 10 3 ? *)"}, "", "2026-03-10 20:00:00", "2026-03-10 21:00:00"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.last == "" {
				c.last = last
			}
			at, err := time.Parse(time.DateTime, c.last)
			require.NoError(t, err)
			require.NoError(t, c.rules.check())
			opens, closes := c.rules.window(at)
			require.Equal(t, c.opens, opens.Format(time.DateTime))
			require.Equal(t, c.closes, closes.Format(time.DateTime))
		})
	}
}

func TestBadRules(t *testing.T) {
	zero, ten := int64(0), int64(10)
	for _, r := range []rules{
		{},
		{AutomaticallyAfterDays: &zero},
		{AutomaticallyAfterDays: &ten, ScheduleExpression: "rate(10 days)"},
		{AutomaticallyAfterDays: &ten, Duration: "25h"},
		{AutomaticallyAfterDays: &ten, Duration: "two"},
		{ScheduleExpression: "rate(3 hours)"},
		{ScheduleExpression: "rate(0 days)"},
		{ScheduleExpression: "rate(1 week)"},
		{ScheduleExpression: "every day"},
		{ScheduleExpression: "cron(5 8 * * ? *)"},    // minutes
		{ScheduleExpression: "cron(0 24 * * ? *)"},   // no such hour
		{ScheduleExpression: "cron(0 8 * * * *)"},    // no question mark
		{ScheduleExpression: "cron(0 8 ? * ? *)"},    // two of them
		{ScheduleExpression: "cron(0 8 * * ? 2027)"}, // a year
		{ScheduleExpression: "cron(0 8 * * ?)"},
		{ScheduleExpression: "cron(0 8 31 2 ? *)"}, // never
		{ScheduleExpression: "cron(0 9-8 * * ? *)"},
		{ScheduleExpression: "cron(0 8/0 * * ? *)"},
		{ScheduleExpression: "cron(0 8 ? * 1#6 *)"},
		{ScheduleExpression: "cron(0 8 * * ? *"},
	} {
		require.Error(t, r.check(), "%+v", r)
	}
}

func FuzzSchedule(f *testing.F) {
	for _, s := range []string{"rate(10 days)", "rate(4 hours)", "cron(0 8 1 1/3 ? *)", "cron(0 8-12/2,20 ? JAN MON#2 *)", "cron(0 8 L * ? *)"} {
		f.Add(s, "2h", int64(1_700_000_000))
	}
	f.Fuzz(func(t *testing.T, expression, duration string, seconds int64) {
		r := rules{ScheduleExpression: expression, Duration: duration}
		if r.check() != nil {
			return
		}
		last := time.Unix(seconds%4e9, 0)
		opens, closes := r.window(last)
		if !opens.After(last) || !closes.After(opens) || closes.Sub(last) > 9*366*24*time.Hour {
			t.Errorf("after %s from %s to %s", last.UTC(), opens, closes)
		}
	})
}
