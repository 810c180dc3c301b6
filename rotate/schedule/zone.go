package schedule

import "time"

// A wall is what a clock on the wall shows, as a time in UTC. Where clocks are
// put forward some walls never are, where they are put back some are twice.
type wall time.Time

// wallAt is what the clock shows at an instant in the zone of t.
func wallAt(t time.Time) wall {
	_, offset := t.Zone()
	return wall(t.UTC().Add(time.Duration(offset) * time.Second))
}

// midnight is the start of the day that is so many days after the wall's.
func (w wall) midnight(days int) wall {
	y, m, d := time.Time(w).Date()
	return wall(time.Date(y, m, d+days, 0, 0, 0, 0, time.UTC))
}

func (w wall) add(d time.Duration) wall { return wall(time.Time(w).Add(d)) }
func (w wall) before(v wall) bool       { return time.Time(w).Before(time.Time(v)) }

// in is the first instant at which a clock there shows the wall; if it never
// does, the instant at which it is put forward over it.
func (w wall) in(loc *time.Location) time.Time {
	// No zone is further from UTC than this.
	t := time.Time(w).Add(-30 * time.Hour).In(loc)
	for {
		_, end := t.ZoneBounds()
		at := t.Add(time.Time(w).Sub(time.Time(wallAt(t))))
		if end.IsZero() || at.Before(end) {
			return later(at, t)
		}
		t = end
	}
}
