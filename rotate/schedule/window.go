package schedule

import (
	"fmt"
	"slices"
	"time"
)

// A Window is a time of day on some days of the week, by the clocks of a place.
//
// It is open whenever a clock there shows a time in it. When clocks are put
// forward, what they skip is missing from the window, and a window that lies in
// the skipped hour does not open on that day. When they are put back, what they
// show twice is in the window twice.
type Window struct {
	// Days are the days on which it opens. Empty: every day.
	Days []time.Weekday

	// Start and End are times of day, counted from midnight: 22*time.Hour is
	// ten in the evening. Start is from 0 to less than 24 hours, End more than 0
	// and at most 24. With an End before the Start, the window closes on the day
	// after it has opened. It is open at Start and closed at End.
	Start, End time.Duration

	// Zone is the time zone of Days, Start and End. Nil: UTC.
	Zone *time.Location
}

// Within returns a schedule that is due when s is, if a window is open then, else
// when the next one opens. It is for starting rotations; recovery ignores windows,
// see the package's documentation.
//
// All that is due when windows are closed is due at the moment one opens, without
// jitter. No windows, or one that cannot be, is an [*OptionError].
func Within(s Schedule, windows ...Window) (Schedule, error) {
	if s == nil {
		return nil, &OptionError{"schedule", "is nil; it should be one to move into the windows"}
	}
	if len(windows) == 0 {
		return nil, &OptionError{"windows", "are none; without one nothing would be rotated"}
	}
	windows = slices.Clone(windows)
	for i, w := range windows {
		if err := w.check(); err != "" {
			return nil, &OptionError{fmt.Sprintf("window %d", i+1), err}
		}
		windows[i].Days = slices.Clone(w.Days)
	}
	return within{s, windows}, nil
}

type within struct {
	Schedule
	windows []Window
}

func (w within) Next(last, now time.Time) time.Time {
	due := w.Schedule.Next(last, now)
	if due.IsZero() {
		return due
	}
	var first time.Time
	for _, window := range w.windows {
		if open := window.next(due); first.IsZero() || open.Before(first) {
			first = open
		}
	}
	return first
}

// next is the first time that is not before t and in the window: t itself while
// it is open.
func (w Window) next(t time.Time) time.Time {
	zone := w.Zone
	if zone == nil {
		zone = time.UTC
	}
	// Between two changes of the clocks, what they show is as far from UTC
	// everywhere: there the days of the window are found by adding.
	for local := t.In(zone); ; {
		shown := wallAt(local)
		_, end := local.ZoneBounds()
		for days := -1; days <= 8; days++ {
			open, closed := w.on(shown.midnight(days))
			if !shown.before(closed) || !open.before(closed) {
				continue
			}
			wait := max(0, time.Time(open).Sub(time.Time(shown)))
			if at := local.Add(wait); end.IsZero() || at.Before(end) {
				return at.In(t.Location())
			}
			break // not before the clocks change
		}
		local = end
	}
}

// on is when it opens and closes on a day, which are the same if it does not.
func (w Window) on(midnight wall) (open, closed wall) {
	if len(w.Days) > 0 && !slices.Contains(w.Days, time.Time(midnight).Weekday()) {
		return midnight, midnight
	}
	end := w.End
	if end < w.Start {
		end += day
	}
	return midnight.add(w.Start), midnight.add(end)
}

// check says what is wrong with the window.
func (w Window) check() string {
	for _, d := range w.Days {
		if d < time.Sunday || d > time.Saturday {
			return fmt.Sprintf("has a day %d; it should be from time.Sunday to time.Saturday", int(d))
		}
	}
	switch {
	case w.Start < 0 || w.Start >= day:
		return fmt.Sprintf("starts at %v; it should be from 0 to less than 24 hours after midnight", w.Start)
	case w.End <= 0 || w.End > day:
		return fmt.Sprintf("ends at %v; it should be more than 0 and at most 24 hours after midnight", w.End)
	case w.Start == w.End:
		return "ends when it starts; for a whole day let it start at 0 and end at 24 hours"
	}
	return ""
}
