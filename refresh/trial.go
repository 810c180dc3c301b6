package refresh

import "time"

// A trial decides whether a credential that the database has rejected may be
// sent once more. Databases lock accounts after a number of failed logins, so
// the pauses double and the attempts are counted; with the budget spent, the
// breaker is open and a login passes only every long pause.
//
// The zero trial is that of a credential nobody has rejected. It is pure: the
// owner locks and tells the time.
type trial struct {
	rejections int
	since      time.Time // when the first of them was
	last       time.Time // when the last of them was
	next       time.Time // no login before; zero: never again
	budget     int
	pause      time.Duration
	why        error // of the last rejection, where somebody wants to know
}

const firstLoginPause = time.Second

// rejected notes that the database rejected a login at now.
func (t *trial) rejected(now time.Time, budget int, pause time.Duration) {
	t.budget, t.pause, t.last = budget, pause, now
	if t.rejections++; t.rejections == 1 {
		t.since = now
	}
	switch doubled := firstLoginPause << min(t.rejections-1, 30); {
	case !t.open() && pause > 0:
		t.next = now.Add(min(doubled, pause))
	case !t.open():
		t.next = now.Add(doubled)
	case pause > 0:
		t.next = now.Add(pause)
	default:
		t.next = time.Time{}
	}
}

// suspect reports whether the credential has been rejected and not accepted
// since.
func (t *trial) suspect() bool { return t.rejections > 0 }

// open reports whether the budget is spent.
func (t *trial) open() bool { return t.rejections > 0 && t.rejections >= t.budget }

// allow reports whether a login may be sent at now.
func (t *trial) allow(now time.Time) bool {
	return !t.suspect() || reached(now, t.next)
}

// again says in words until when allow refuses.
func (t *trial) again() string {
	if t.next.IsZero() {
		return "until the source has another one or Refresh is called"
	}
	return "before " + t.next.Format(time.RFC3339) + " unless the source has another one"
}

// hasten lets the next login go at once where the budget allows, and with the
// budget spent after a tenth of the long pause: something has changed that
// makes another outcome likely.
func (t *trial) hasten(now time.Time) {
	switch {
	case !t.suspect():
	case !t.open():
		t.next = now
	case t.pause > 0:
		t.next = t.last.Add(t.pause / 10)
	}
}
