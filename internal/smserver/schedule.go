package smserver

import (
	"cmp"
	"regexp"
	"strconv"
	"time"
)

// rules are RotationRules in the API.
type rules struct {
	AutomaticallyAfterDays *int64 `json:",omitempty"`
	Duration               string `json:",omitempty"`
	ScheduleExpression     string `json:",omitempty"`
}

// A schedule is how a secret is rotated and when that happened. Nothing is
// rotated by the clock: who wants a rotation calls RotateSecret.
type schedule struct {
	configured, enabled bool

	lambda  string
	rules   *rules
	since   time.Time // of the last configuration
	rotated time.Time // by a rotation
	updated time.Time // AWSCURRENT put by hand, which counts as a rotation for the next date
}

// configure takes what a request sets and turns rotation on.
func (s *schedule) configure(in rotateIn, now time.Time) error {
	s.lambda = cmp.Or(in.RotationLambdaARN, s.lambda)
	if s.lambda == "" {
		return refuse(badState, "You tried to enable rotation on a secret that doesn't already have a Lambda function ARN configured and you didn't include such an ARN as a parameter in this call.")
	}
	if in.RotationRules != nil {
		s.rules, s.since = in.RotationRules, now
	}
	s.configured, s.enabled = true, true
	return nil
}

func (s *schedule) describe(a *about) {
	if !s.configured {
		return
	}
	enabled := s.enabled
	a.RotationEnabled, a.RotationLambdaARN = &enabled, s.lambda
	if s.enabled {
		a.LastRotatedDate = stamp(s.rotated)
	}
	if s.rules == nil {
		return
	}
	shown := *s.rules
	opens, closes := s.rules.window(s.last())
	if days := int64(opens.Sub(day(s.last())) / (24 * time.Hour)); shown.AutomaticallyAfterDays == nil && days > 0 {
		shown.AutomaticallyAfterDays = &days
	}
	a.RotationRules = &shown
	if s.enabled {
		a.NextRotationDate = stamp(closes)
	}
}

// last is from when the next rotation is counted.
func (s *schedule) last() time.Time {
	last := s.since
	for _, t := range []time.Time{s.rotated, s.updated} {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// A timetable says when windows for rotations open.
type timetable interface {
	after(t time.Time) time.Time
	hourly() bool // more than one window a day
}

// every opens a window each so many days or hours, counted from a midnight.
type every struct{ days, hours int }

func (e every) hourly() bool { return e.hours > 0 }

func (e every) after(t time.Time) time.Time {
	if e.days > 0 {
		return day(t).AddDate(0, 0, e.days)
	}
	opens := day(t)
	for !opens.After(t) {
		opens = opens.Add(time.Duration(e.hours) * time.Hour)
	}
	return opens
}

var (
	rateForm     = regexp.MustCompile(`^rate\(([1-9][0-9]{0,2}) (hour|day)s?\)$`)
	durationForm = regexp.MustCompile(`^([1-9]|1[0-9]|2[0-4])h$`)
)

func (r *rules) timetable() (timetable, error) {
	if days := r.AutomaticallyAfterDays; days != nil {
		if r.ScheduleExpression != "" {
			return nil, refuse(badParameter, "You can set AutomaticallyAfterDays or ScheduleExpression, but not both.")
		}
		if *days < 1 || *days > 1000 {
			return nil, refuse(badParameter, "RotationRules.AutomaticallyAfterDays must be within 1-1000.")
		}
		return every{days: int(*days)}, nil
	}
	if m := rateForm.FindStringSubmatch(r.ScheduleExpression); m != nil {
		n, _ := strconv.Atoi(m[1]) // one to three digits
		if m[2] == "day" {
			return every{days: n}, nil
		}
		if n >= 4 {
			return every{hours: n}, nil
		}
	}
	if c, ok := parseCron(r.ScheduleExpression); ok {
		return c, nil
	}
	return nil, refuse(badParameter, "The ScheduleExpression is neither a cron() nor a rate() expression of at least four hours.")
}

func (r *rules) check() error {
	if r.Duration != "" && !durationForm.MatchString(r.Duration) {
		return refuse(badParameter, "The Duration must be a number of hours, such as 3h.")
	}
	_, err := r.timetable()
	return err
}

// window is when the next rotation may begin and when it has begun at the
// latest. The rules have been checked.
func (r *rules) window(last time.Time) (opens, closes time.Time) {
	table, _ := r.timetable() // checked
	opens = table.after(last)
	switch m := durationForm.FindStringSubmatch(r.Duration); {
	case m != nil:
		hours, _ := strconv.Atoi(m[1]) // one or two digits
		closes = opens.Add(time.Duration(hours) * time.Hour)
	case table.hourly():
		closes = opens.Add(time.Hour)
	default:
		closes = day(opens).Add(24*time.Hour - time.Second)
	}
	return opens, closes
}
