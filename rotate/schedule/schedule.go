// Package schedule says when to rotate a secret next.
//
//   - [Every] counts from the last rotation, with jitter.
//   - [Cron] follows a cron expression in a time zone.
//   - [BeforeExpiry] replaces what has an end of its own, such as a certificate.
//   - [Within] moves any of them into maintenance windows.
//   - [For] has the usual interval for each kind of secret.
//
// [Validate] checks an interval against the time that connections live.
//
//	quarter, err := schedule.For(schedule.DatabasePassword, "orders")
//	s, err := schedule.Within(quarter, schedule.Window{Days: []time.Weekday{time.Sunday}, Start: 2 * time.Hour, End: 4 * time.Hour})
//	err = rotator.Run(ctx, s, failed)
//
// Everything here is a function of the times that are passed in: no clock is
// read, nothing waits, and two processes that ask the same get the same answer.
//
// # Recovery ignores windows
//
// A schedule is for starting a rotation. One that was interrupted is finished or
// undone at once, whatever its schedule says, because between two steps the
// store and the database may disagree; only the rotation after that asks the
// schedule again. So is one that an operator asks for, after a leak. A window
// does not end a rotation either: let it be so much longer than a rotation
// takes that one begun in its last minute may go on for a while.
package schedule

import (
	"fmt"
	"hash/fnv"
	"io"
	"strconv"
	"time"
)

// A Schedule says when to rotate. Implementations are pure and safe for
// concurrent use.
type Schedule interface {
	// Next returns when to rotate a secret that was last rotated at last, as
	// seen at now. It is never before now: a rotation that is overdue is due
	// now, or in the next window. A zero last says that the secret was never
	// rotated; a zero result, that it will not be.
	Next(last, now time.Time) time.Time
}

// Func is a function as a [Schedule].
type Func func(last, now time.Time) time.Time

// Next calls f.
func (f Func) Next(last, now time.Time) time.Time { return f(last, now) }

// Every returns a schedule of a fixed interval after the last rotation. Each
// rotation comes earlier than that by a part of jitter, never later, so that
// secrets that were rotated together move apart. Secret is the name of what is
// rotated: the part depends on it and on the last rotation only, which makes it
// the same in each process and after each restart.
//
// A secret that was never rotated is due now. The interval must be positive and
// jitter less than it, else there is an [*OptionError].
func Every(interval, jitter time.Duration, secret string) (Schedule, error) {
	if interval <= 0 {
		return nil, &OptionError{"interval", fmt.Sprintf("is %v; it should be positive", interval)}
	}
	if jitter < 0 || jitter >= interval {
		return nil, &OptionError{"jitter", fmt.Sprintf("is %v; it should be from 0 to less than the interval of %v", jitter, interval)}
	}
	return every{interval, jitter, secret}, nil
}

type every struct {
	interval, jitter time.Duration
	secret           string
}

func (e every) Next(last, now time.Time) time.Time {
	if last.IsZero() {
		return now
	}
	return later(last.Add(e.interval-e.early(last)), now)
}

// early is the part of the jitter for one rotation: a hash, as a fraction.
func (e every) early(last time.Time) time.Duration {
	h := fnv.New64a()
	_, _ = io.WriteString(h, strconv.FormatInt(last.UnixNano(), 36)+" "+e.secret) // never fails
	return time.Duration(float64(e.jitter) * (float64(mix(h.Sum64())>>11) / (1 << 53)))
}

// mix spreads what differs in few bits over all of them, as MurmurHash3 ends.
func mix(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// BeforeExpiry returns a schedule for what ends by itself: it is due so much
// ahead of its end. Expires is asked each time for the end of what is current; it
// must be safe for concurrent use, and a zero time says that there is no end and
// no rotation. Ahead must be positive, else there is an [*OptionError]; see
// [Renewal] for a good value.
func BeforeExpiry(expires func() time.Time, ahead time.Duration) (Schedule, error) {
	if expires == nil {
		return nil, &OptionError{"expires", "is nil; it should return the end of what is current"}
	}
	if ahead <= 0 {
		return nil, &OptionError{"ahead", fmt.Sprintf("is %v; it should be positive", ahead)}
	}
	return Func(func(_, now time.Time) time.Time {
		end := expires()
		if end.IsZero() {
			return time.Time{}
		}
		return later(end.Add(-ahead), now)
	}), nil
}

// Renewal returns how long ahead of its end something that is valid from one time
// to another should be replaced: a third of its life, so that failures have time
// to be noticed. Certificates for 90 days are renewed 30 days ahead.
func Renewal(from, to time.Time) time.Duration { return max(0, to.Sub(from)) / 3 }

// Shortest returns the shortest time between two of the next rotations of a
// schedule, looking at so many of them from a time on, each done when it is due:
// the interval of a [Cron] or [Within] for [Validate]. It is zero if there are not
// two. It says nothing of [BeforeExpiry], whose end moves with each rotation.
func Shortest(s Schedule, from time.Time, rotations int) (shortest time.Duration) {
	last := s.Next(from, from)
	for range rotations - 1 {
		// Strictly later: a schedule is not due again when it has just been done.
		next := s.Next(last, last.Add(1))
		if last.IsZero() || next.IsZero() {
			return shortest
		}
		if gap := next.Sub(last); shortest == 0 || gap < shortest {
			shortest = gap
		}
		last = next
	}
	return shortest
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
