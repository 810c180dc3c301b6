package schedule

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Cron returns a schedule by a cron expression of five fields (minute, hour, day
// of month, month, day of week) or one of @yearly, @monthly, @weekly, @daily and
// @hourly, in a time zone; nil is UTC. If days of month and of week are both
// given, either will do, as everywhere.
//
// A rotation that was missed, because no process ran, is due now. A secret that
// was never rotated waits for the next time by the expression.
//
// Times that are skipped when clocks are put forward are due at that moment;
// those that come twice when they are put back are due the first time only.
//
// An expression that cannot be read or is never due, such as "0 0 30 2 *", is an
// [*OptionError]. So is one with a time zone in it.
func Cron(expression string, zone *time.Location) (Schedule, error) {
	fail := func(problem string) (Schedule, error) {
		return nil, &OptionError{"expression", fmt.Sprintf("%q %s", expression, problem)}
	}
	switch {
	case strings.Contains(expression, "TZ="):
		return fail("has a time zone; pass it as the second argument")
	case strings.HasPrefix(expression, "@every"):
		return fail("is an interval; use Every")
	}
	parsed, err := cron.ParseStandard(expression)
	if err != nil {
		return fail("cannot be read: " + err.Error() + "; it should be like \"30 2 * * SUN\"")
	}
	if zone == nil {
		zone = time.UTC
	}
	c := expr{parsed, zone}
	if c.after(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return fail("is never due: there is no such day")
	}
	return c, nil
}

// An expr is evaluated on what clocks on the wall show, as if that were UTC, where
// no hour is missing.
type expr struct {
	parsed cron.Schedule
	zone   *time.Location
}

func (c expr) Next(last, now time.Time) time.Time {
	if last.IsZero() {
		return c.after(now).In(now.Location())
	}
	next := c.after(last)
	if next.IsZero() {
		return next
	}
	return later(next.In(now.Location()), now)
}

// after is the first time after t.
func (c expr) after(t time.Time) time.Time {
	w := time.Time(wallAt(t.In(c.zone)))
	for {
		if w = c.next(w); w.IsZero() {
			return w
		}
		// What comes for the second time now was due at the first.
		if at := wall(w).in(c.zone); at.After(t) {
			return at
		}
	}
}

// next looks further than package cron, which gives up after five years, while
// some leap years are eight years apart.
func (c expr) next(w time.Time) time.Time {
	for range 2 {
		if next := c.parsed.Next(w); !next.IsZero() {
			return next
		}
		w = time.Date(w.Year()+6, 1, 1, 0, 0, -1, 0, time.UTC)
	}
	return time.Time{}
}
