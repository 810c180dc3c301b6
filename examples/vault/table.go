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

	"github.com/rekey-go/rekey/examples/vault/setup"
	"github.com/rekey-go/rekey/internal/storm/load"
)

// A table prints a line each second on how the service is doing. It also times
// a login each second, outside the pool.
type table struct {
	out     io.Writer
	lab     *setup.Lab
	service *service
	clients *load.Load
	leases  *leaseWatch
	logins  load.Histogram
	begin   time.Time
}

func newTable(out io.Writer, lab *setup.Lab, s *service, clients *load.Load, leases *leaseWatch) *table {
	fmt.Fprintf(out, "%6s %9s %6s %7s %7s %7s %7s %12s %7s   %-24s %9s %9s\n",
		"time", "rotations", "live", "issued", "renewed", "revoked", "logins", "statements", "failed", "connections:generation", "p50", "p99")
	return &table{out: out, lab: lab, service: s, clients: clients, leases: leases, begin: time.Now()}
}

// watch prints for a time.
func (t *table) watch(ctx context.Context, length time.Duration) {
	ctx, cancel := context.WithDeadline(ctx, t.begin.Add(length))
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			t.print()
			t.login(ctx)
		}
	}
}

func (t *table) print() {
	h, r := t.service.db.Health(), t.clients.Report()
	c, _ := t.leases.counts() // an error is for the end
	var connections []string
	for _, generation := range slices.Sorted(maps.Keys(h.Connections)) {
		connections = append(connections, fmt.Sprintf("%d:%d", h.Connections[generation], generation))
	}
	fmt.Fprintf(t.out, "%5.0fs %9d %6d %7d %7d %7d %7d %12d %7d   %-24s %9s %9s\n",
		time.Since(t.begin).Seconds(), h.Generation-1, c.LiveEnd, c.Issued, c.Renewed, c.Revoked, t.service.session.Health().Logins,
		r.Statements, r.Failed, strings.Join(connections, " "), round(r.Latency.P50), round(r.Latency.P99))
}

func (t *table) login(ctx context.Context) {
	begin := time.Now()
	if conn, err := t.lab.Postgres.Admin(ctx); err == nil {
		t.logins.Add(time.Since(begin))
		_ = conn.Close(ctx)
	}
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// A summary is the last line of -json: that of the quickstart, and the leases.
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
	leaseCounts
	VaultLogins int `json:"vault_logins"`
}

func (t *table) summary(r load.Report) summary {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	h := t.service.db.Health()
	return summary{
		Statements: r.Statements, Failed: r.Failed, Rotations: int(h.Generation) - 1, LoginsRejected: h.LoginsRejected,
		P50: ms(r.Latency.P50), P99: ms(r.Latency.P99), P999: ms(r.Latency.P999), Max: ms(r.Latency.Max),
		Login: ms(t.logins.Quantiles().P50), VaultLogins: t.service.session.Health().Logins,
	}
}

func (s summary) print(out io.Writer, asJSON bool, err error) {
	fmt.Fprintf(out, "\n%d statements, %d failed, through %d users of the database and %d logins to Vault\n",
		s.Statements, s.Failed, s.Rotations+1, s.VaultLogins)
	fmt.Fprintf(out, "%d leases were issued, renewed %d times, %d revoked; at most %d lived at a time, %d at the end\n",
		s.Issued, s.Renewed, s.Revoked, s.LiveMax, s.LiveEnd)
	fmt.Fprintf(out, "latency p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, longest %.2f ms; a login takes %.2f ms here\n", s.P50, s.P99, s.P999, s.Max, s.Login)
	if err != nil {
		fmt.Fprintln(out, "failures:", err)
	}
	if asJSON {
		_ = json.NewEncoder(out).Encode(s) // standard output that is closed has no reader to miss it
	}
}

// check says what a run must not show.
func (s summary) check() error {
	switch {
	case s.Failed > 0:
		return fmt.Errorf("%d statements failed", s.Failed)
	case s.LiveMax > 2:
		return fmt.Errorf("%d leases lived at a time", s.LiveMax)
	case s.LiveEnd > 0:
		return fmt.Errorf("%d leases are left", s.LiveEnd)
	}
	return nil
}
