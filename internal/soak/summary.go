package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/rekey-go/rekey/internal/storm/table"
)

// A summary is what a soak ends with.
type summary struct {
	Seed       uint64            `json:"seed"`
	Seconds    float64           `json:"seconds"`
	Statements int64             `json:"statements"`
	Excused    int               `json:"failed_excused"`   // of a session or a login that an outage broke
	Unexcused  int               `json:"failed_unexcused"` // of anything else
	Strikes    int               `json:"strikes"`
	Faults     map[string]int    `json:"faults"`
	Kills      int               `json:"rotator_kills"`
	Resumed    int64             `json:"rotations_resumed"`
	Slowest    float64           `json:"slowest_recovery_s"`
	SlowestOf  string            `json:"slowest_recovery_of"`
	Services   []*serviceSummary `json:"services"`
	Early      sample            `json:"second_quarter"`
	Late       sample            `json:"last_quarter"`
	Most       sample            `json:"most"`
	Secrets    int               `json:"secrets"`       // that were looked for
	Written    int               `json:"written_bytes"` // in which they were looked for
	Violations int               `json:"violations"`

	slowest time.Duration
	errs    []error
	kinds   map[string]int // of violations, by their formats
}

// A serviceSummary is that of one service.
type serviceSummary struct {
	Name        string  `json:"name"`
	Statements  int64   `json:"statements"`
	Excused     int     `json:"failed_excused"`
	Unexcused   int     `json:"failed_unexcused"`
	Generations uint64  `json:"generations"`
	Logins      uint64  `json:"logins"`
	Rejected    uint64  `json:"logins_rejected"`
	P50         float64 `json:"p50_ms"`
	P999        float64 `json:"p999_ms"`
}

func newSummary(seed uint64) summary {
	return summary{Seed: seed, Faults: map[string]int{}, kinds: map[string]int{}}
}

// mostViolations of a kind are kept: the first ones tell.
const mostViolations = 10

func (s *summary) violation(format string, args ...any) {
	s.Violations++
	if s.kinds[format]++; s.kinds[format] <= mostViolations {
		s.errs = append(s.errs, fmt.Errorf(format, args...))
	}
}

func (s *summary) strike(k strike, served time.Duration) {
	s.Strikes++
	for _, f := range k.faults {
		s.Faults[f.name]++
	}
	if served > s.slowest {
		s.slowest, s.Slowest, s.SlowestOf = served, served.Seconds(), k.String()
	}
}

func (s *summary) of(name string) *serviceSummary {
	for _, v := range s.Services {
		if v.Name == name {
			return v
		}
	}
	v := &serviceSummary{Name: name}
	s.Services = append(s.Services, v)
	return v
}

func (s *summary) failed(service string, excused bool) {
	v := s.of(service)
	if excused {
		v.Excused++
		s.Excused++
		return
	}
	v.Unexcused++
	s.Unexcused++
}

// sumUp counts what is over, before the services are closed.
func (s *summary) sumUp(of *soak) {
	if !of.begun.IsZero() {
		s.Seconds = time.Since(of.begun).Seconds()
	}
	if of.rotator != nil {
		s.Kills, s.Resumed = of.rotator.kills, of.rotator.tally.Resumed.Load()
	}
	for _, v := range of.services {
		if v.pool == nil {
			continue
		}
		h, q, c := v.pool.Health(), v.latency.Quantiles(), s.of(v.name)
		c.Statements, c.Generations, c.Logins, c.Rejected = v.statements(), h.Generation, h.Logins, h.LoginsRejected
		c.P50, c.P999 = ms(q.P50), ms(q.P999)
		s.Statements += c.Statements
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (s *summary) print(out io.Writer, asJSON bool) {
	fmt.Fprintf(out, "\n%d statements in %.0f s; %d failed on sessions and logins that an outage broke, %d of anything else\n", s.Statements, s.Seconds, s.Excused, s.Unexcused)
	for _, v := range s.Services {
		fmt.Fprintf(out, "  %-8s %9d statements, %5d + %d failed, %4d credentials, %5d logins, %4d rejected, p50 %.2f ms, p99.9 %.2f ms\n",
			v.Name, v.Statements, v.Excused, v.Unexcused, v.Generations, v.Logins, v.Rejected, v.P50, v.P999)
	}
	fmt.Fprintf(out, "%d strikes; slowest recovery %.2f s (%s)\n", s.Strikes, s.Slowest, s.SlowestOf)
	for _, name := range slices.Sorted(maps.Keys(s.Faults)) {
		fmt.Fprintf(out, "  %4d × %s\n", s.Faults[name], name)
	}
	fmt.Fprintf(out, "the rotator was killed %d times; %d rotations were finished that had been broken off\n", s.Kills, s.Resumed)
	fmt.Fprintf(out, "%-16s %10s %6s %8s %8s %6s %5s\n", "", "goroutines", "files", "heap KB", "sessions", "leases", "roles")
	for _, line := range []struct {
		name string
		sample
	}{{"second quarter", s.Early}, {"last quarter", s.Late}, {"most", s.Most}} {
		fmt.Fprintf(out, "%-16s %10d %6d %8d %8d %6d %5d\n", line.name, line.Goroutines, line.Files, line.Heap, line.Sessions, line.Leases, line.Roles)
	}
	fmt.Fprintf(out, "%d secrets were looked for in %d bytes of output\n", s.Secrets, s.Written)
	if asJSON {
		table.PrintJSON(out, s)
	}
}

func (s *soak) printHead() {
	fmt.Fprintf(s.out, "%7s %-46s %7s %7s %11s %7s %10s %6s %8s %8s %6s %5s\n", "time", "fault", "lasted", "served",
		"statements", "failed", "goroutines", "files", "heap KB", "sessions", "leases", "roles")
}

func (s *soak) printRound(k strike, lasted, served time.Duration, c sample) {
	var statements int64
	for _, v := range s.services {
		statements += v.statements()
	}
	fmt.Fprintf(s.out, "%6.0fs %-46s %6.2fs %6.2fs %11d %7d %10d %6d %8d %8d %6d %5d\n", time.Since(s.begun).Seconds(), k, lasted.Seconds(), served.Seconds(),
		statements, s.summary.Excused+s.summary.Unexcused, c.Goroutines, c.Files, c.Heap, c.Sessions, c.Leases, c.Roles)
}
