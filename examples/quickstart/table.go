package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/pool"
)

// A table prints a line each second on how the pool is doing. It also times a
// login each second, outside the pool: what a caller would have to wait for if
// a rotation made him.
type table struct {
	out     io.Writer
	server  *pgserver.Server
	db      *pool.ManagedPool
	clients *load.Load
	logins  load.Histogram
	begin   time.Time
	next    time.Time
}

func newTable(out io.Writer, server *pgserver.Server, db *pool.ManagedPool, clients *load.Load) *table {
	fmt.Fprintf(out, "%6s %10s %9s %12s %7s   %-24s %9s %9s\n",
		"time", "rotations", "user", "statements", "failed", "connections:generation", "p50", "p99")
	now := time.Now()
	return &table{out: out, server: server, db: db, clients: clients, begin: now, next: now.Add(time.Second)}
}

// watch prints until the given time and reports whether to go on.
func (t *table) watch(ctx context.Context, rotations int, until time.Time) bool {
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
			t.print(rotations)
			t.login(ctx)
			t.next = t.next.Add(time.Second)
		}
		if !at.Before(until) {
			return true
		}
	}
}

func (t *table) print(rotations int) {
	h, r := t.db.Health(), t.clients.Report()
	var connections []string
	for _, generation := range slices.Sorted(maps.Keys(h.Connections)) {
		connections = append(connections, fmt.Sprintf("%d:%d", h.Connections[generation], generation))
	}
	user := h.Username[strings.LastIndexByte(h.Username, '_')+1:]
	fmt.Fprintf(t.out, "%5.0fs %10d %9s %12d %7d   %-24s %9s %9s\n",
		time.Since(t.begin).Seconds(), rotations, user, r.Statements, r.Failed,
		strings.Join(connections, " "), round(r.Latency.P50), round(r.Latency.P99))
}

func (t *table) login(ctx context.Context) {
	begin := time.Now()
	if conn, err := t.server.Admin(ctx); err == nil {
		t.logins.Add(time.Since(begin))
		_ = conn.Close(ctx)
	}
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// A summary is the last line of -json.
type summary struct {
	Statements     int64   `json:"statements"`
	Failed         int64   `json:"failed"`
	Rotations      int     `json:"rotations"`
	LoginsRejected uint64  `json:"logins_rejected"`
	P50            float64 `json:"p50_ms"`
	P99            float64 `json:"p99_ms"`
	P999           float64 `json:"p999_ms"`
	Max            float64 `json:"max_ms"`
	Login          float64 `json:"login_p50_ms"`
}

func (t *table) summary(r load.Report, rotations int) summary {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return summary{
		Statements: r.Statements, Failed: r.Failed, Rotations: rotations, LoginsRejected: t.db.Health().LoginsRejected,
		P50: ms(r.Latency.P50), P99: ms(r.Latency.P99), P999: ms(r.Latency.P999), Max: ms(r.Latency.Max),
		Login: ms(t.logins.Quantiles().P50),
	}
}

func (s summary) print(out io.Writer, asJSON bool, err error) {
	fmt.Fprintf(out, "\n%d statements, %d failed, through %d rotations of password and user\n", s.Statements, s.Failed, s.Rotations)
	fmt.Fprintf(out, "latency p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, longest %.2f ms; a login takes %.2f ms here\n", s.P50, s.P99, s.P999, s.Max, s.Login)
	fmt.Fprintf(out, "%d logins were rejected because the password had changed a moment before, and repeated with the new one\n", s.LoginsRejected)
	if err != nil {
		fmt.Fprintln(out, "failures:", err)
	}
	if asJSON {
		_ = json.NewEncoder(out).Encode(s) // standard output that is closed has no reader to miss it
	}
}
