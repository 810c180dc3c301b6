package smserver

import (
	"strconv"
	"strings"
	"time"
)

// A cron is cron(Minutes Hours Day-of-month Month Day-of-week Year), in UTC. As
// in the service, minutes are 0 and the year is any.
type cron struct {
	hours, months uint64 // sets of numbers
	days          func(time.Time) bool
}

func parseCron(text string) (c cron, ok bool) {
	text, is := strings.CutPrefix(text, "cron(")
	text, closed := strings.CutSuffix(text, ")")
	f := strings.Fields(text)
	if !is || !closed || len(f) != 6 || f[0] != "0" || f[5] != "*" {
		return c, false
	}
	hours, okH := set(f[1], 0, 23, "")
	months, okM := set(f[3], 1, 12, "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC")
	ofMonth, okD := dayOfMonth(f[2])
	ofWeek, okW := dayOfWeek(f[4])
	if !okH || !okM || !okD || !okW || (ofMonth == nil) == (ofWeek == nil) {
		return c, false // one of the days is a question mark
	}
	c = cron{hours: hours, months: months, days: ofMonth}
	if ofWeek != nil {
		c.days = ofWeek
	}
	return c, !c.after(time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero()
}

func (c cron) hourly() bool { return c.hours&(c.hours-1) != 0 }

// after returns the first time that matches, zero if there is none within the
// eight years that may lie between two 29ths of February.
func (c cron) after(t time.Time) time.Time {
	for d := day(t); d.Before(t.AddDate(8, 1, 0)); d = d.AddDate(0, 0, 1) {
		if c.months>>d.Month()&1 == 0 || !c.days(d) {
			continue
		}
		for h := range 24 {
			if at := d.Add(time.Duration(h) * time.Hour); c.hours>>h&1 == 1 && at.After(t) {
				return at
			}
		}
	}
	return time.Time{}
}

// dayOfMonth is nil for a question mark. L is the last day.
func dayOfMonth(text string) (match func(time.Time) bool, ok bool) {
	switch text {
	case "?":
		return nil, true
	case "L":
		return func(d time.Time) bool { return d.AddDate(0, 0, 1).Day() == 1 }, true
	}
	days, ok := set(text, 1, 31, "")
	return func(d time.Time) bool { return days>>d.Day()&1 == 1 }, ok
}

// dayOfWeek is nil for a question mark; Sunday is 1. 2#3 is the third Monday,
// 2L the last one.
func dayOfWeek(text string) (match func(time.Time) bool, ok bool) {
	if text == "?" {
		return nil, true
	}
	name, nth, isNth := strings.Cut(text, "#")
	name, last := strings.CutSuffix(name, "L")
	days, ok := set(name, 1, 7, "SUNMONTUEWEDTHUFRISAT")
	on := func(d time.Time) bool { return days>>(d.Weekday()+1)&1 == 1 }
	switch {
	case isNth:
		n, err := strconv.Atoi(nth)
		return func(d time.Time) bool { return on(d) && (d.Day()+6)/7 == n }, ok && !last && err == nil && n >= 1 && n <= 5
	case last:
		return func(d time.Time) bool { return on(d) && d.AddDate(0, 0, 7).Month() != d.Month() }, ok
	}
	return on, ok
}

// set reads numbers or names, ranges of them, steps and lists.
func set(text string, low, high int, names string) (bits uint64, ok bool) {
	number := func(s string) int {
		if i := strings.Index(names, strings.ToUpper(s)); names != "" && len(s) == 3 && i >= 0 && i%3 == 0 {
			return i/3 + 1
		}
		n, err := strconv.Atoi(s)
		if err != nil {
			return -1
		}
		return n
	}
	for part := range strings.SplitSeq(text, ",") {
		span, step, stepped := strings.Cut(part, "/")
		from, to, ranged := strings.Cut(span, "-")
		first, final, by := low, high, 1
		if span != "*" {
			if first = number(from); !stepped {
				final = first
			}
			if ranged {
				final = number(to)
			}
		}
		if stepped {
			by = number(step)
		}
		if first < low || final > high || first > final || by < 1 {
			return 0, false
		}
		for n := first; n <= final; n += by {
			bits |= 1 << n
		}
	}
	return bits, true
}
