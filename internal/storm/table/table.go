// Package table prints how a pool is doing under a storm, a line each second,
// and sums the run up.
package table

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/pool"
)

// A Table prints a line each second on how the pool is doing. It also times a
// login each second, outside the pool: what a caller would have to wait for if
// a rotation made him. It is used by one goroutine.
type Table struct {
	out     io.Writer
	columns []Column
	health  func() pool.Health
	clients *load.Load
	login   func(context.Context) error
	logins  load.Histogram
	begin   time.Time
	next    time.Time
}

// A Column is what a run shows beside what every run does.
type Column struct {
	Name  string
	Value func() any
}

// width is that of the columns that a run adds, unless their name is wider.
const width = 8

// New prints the head of the table. login opens a session of its own and closes
// it.
func New(out io.Writer, health func() pool.Health, clients *load.Load, login func(context.Context) error, columns ...Column) *Table {
	t := &Table{out: out, columns: columns, health: health, clients: clients, login: login, begin: time.Now()}
	t.next = t.begin.Add(time.Second)
	fmt.Fprintf(out, "%6s", "time")
	for _, c := range columns {
		fmt.Fprintf(out, " %*s", width, c.Name)
	}
	fmt.Fprintf(out, " %12s %7s   %-24s %9s %9s\n", "statements", "failed", "connections:generation", "p50", "p99")
	return t
}

// Begin is when the table was begun.
func (t *Table) Begin() time.Time { return t.begin }

// Watch prints until the given time and reports whether to go on: ctx has not
// ended.
func (t *Table) Watch(ctx context.Context, until time.Time) bool {
	for {
		at := t.next
		if until.Before(at) {
			at = until
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(time.Until(at)):
		}
		if !at.Before(t.next) {
			t.print()
			t.timeLogin(ctx)
			t.next = t.next.Add(time.Second)
		}
		if !at.Before(until) {
			return true
		}
	}
}

func (t *Table) print() {
	h, r := t.health(), t.clients.Report()
	var connections []string
	for _, generation := range slices.Sorted(maps.Keys(h.Connections)) {
		connections = append(connections, fmt.Sprintf("%d:%d", h.Connections[generation], generation))
	}
	fmt.Fprintf(t.out, "%5.0fs", time.Since(t.begin).Seconds())
	for _, c := range t.columns {
		fmt.Fprintf(t.out, " %*v", max(width, len(c.Name)), c.Value())
	}
	fmt.Fprintf(t.out, " %12d %7d   %-24s %9s %9s\n", r.Statements, r.Failed,
		strings.Join(connections, " "), round(r.Latency.P50), round(r.Latency.P99))
}

func (t *Table) timeLogin(ctx context.Context) {
	begin := time.Now()
	if t.login(ctx) == nil {
		t.logins.Add(time.Since(begin))
	}
}

// Login is what a login took in the middle.
func (t *Table) Login() time.Duration { return t.logins.Quantiles().P50 }

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
