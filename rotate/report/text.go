package report

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

const day = 24 * time.Hour

// String renders the report for people.
func (r Report) String() string {
	var b strings.Builder
	alarms := 0
	for _, s := range r.Secrets {
		if s.Alarming(r.Time) {
			alarms++
		}
	}
	fmt.Fprintf(&b, "secrets at %s, and what has happened since %s: %d secrets, %d to look at\n", stamp(r.Time), stamp(r.Since), len(r.Secrets), alarms)
	for _, s := range r.Secrets {
		s.write(&b, r.Time)
	}
	if all := r.Consumers(); len(all) > 0 {
		b.WriteString("\napplications and what they use:\n")
		for _, name := range slices.Sorted(maps.Keys(all)) {
			fmt.Fprintf(&b, "  %s: %s\n", name, strings.Join(all[name], ", "))
		}
	}
	return b.String()
}

func (s Secret) write(b *strings.Builder, now time.Time) {
	mark := " "
	if s.Alarming(now) {
		mark = "!"
	}
	fmt.Fprintf(b, "\n%s %s", mark, s.Name)
	if s.Error != "" {
		fmt.Fprintf(b, "\n    cannot be looked at: %s\n", s.Error)
		s.failures(b)
		return
	}
	fmt.Fprintf(b, ": %s, user %s, version %s\n    ", s.Strategy, s.User, s.Version)
	if s.Rotated.IsZero() {
		b.WriteString("was never rotated")
	} else {
		fmt.Fprintf(b, "rotated %s, %s ago", stamp(s.Rotated), span(now.Sub(s.Rotated)))
	}
	switch {
	case s.Due.IsZero():
		b.WriteString("; never due\n")
	case s.overdue(now):
		b.WriteString("; due now\n")
	default:
		fmt.Fprintf(b, "; due %s, in %s\n", stamp(s.Due), span(s.Due.Sub(now)))
	}
	if s.Mismatch != "" {
		fmt.Fprintf(b, "    MISMATCH: %s\n", s.Mismatch)
	}
	if s.UnderWay != "" {
		fmt.Fprintf(b, "    under way: %s", s.UnderWay)
		if !s.Begun.IsZero() {
			fmt.Fprintf(b, ", for %s", span(now.Sub(s.Begun)))
		}
		fmt.Fprintf(b, ", next %s\n", s.Next)
	}
	if len(s.Left) > 0 {
		fmt.Fprintf(b, "    left behind: %s\n", strings.Join(s.Left, ", "))
	}
	for _, c := range s.Consumers {
		fmt.Fprintf(b, "    %s\n", c.text(now))
	}
	s.failures(b)
}

func (s Secret) failures(b *strings.Builder) {
	if s.Steps == 0 {
		return
	}
	fmt.Fprintf(b, "    %d of %d steps failed (%.0f %%)", s.Failed, s.Steps, 100*s.ErrorRate())
	for i, class := range slices.Sorted(maps.Keys(s.Classes)) {
		sign := ", "
		if i == 0 {
			sign = ": "
		}
		fmt.Fprintf(b, "%s%d %s", sign, s.Classes[class], class)
	}
	b.WriteString("\n")
}

func (c Consumer) text(now time.Time) string {
	name := c.Application
	if name == "" {
		name = "an application without a name"
	}
	text := fmt.Sprintf("used by %s: %d sessions", name, c.Sessions)
	if c.Behind > 0 {
		text += fmt.Sprintf(", %d of them with an older credential", c.Behind)
	}
	if !c.Oldest.IsZero() {
		text += fmt.Sprintf(", the first for %s", span(now.Sub(c.Oldest)))
	}
	switch {
	case !c.Expected:
		text += "; nobody expects it"
	case c.Sessions == 0:
		text += "; it should be here"
	}
	return text
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// span writes a duration in its largest unit.
func span(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{day, "d"}, {time.Hour, "h"}, {time.Minute, "min"}} {
		if d >= 2*unit.length {
			return fmt.Sprintf("%.0f %s", math.Floor(d.Hours()/unit.length.Hours()), unit.name)
		}
	}
	return fmt.Sprintf("%.0f s", d.Seconds())
}
