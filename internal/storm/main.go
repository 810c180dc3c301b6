// Storm runs the same statements from the same number of clients through
// several designs of a pool while the credential is rotated, one after the
// other, and prints what became of them:
//
//	go run ./internal/storm -json
//
// The designs: raw, a pgxpool whose credential is never rotated; managed,
// rotated every 10 s; managed-2s, every 2 s; swap, the textbook lock around a
// pool that is opened anew and swapped; beforeconnect, a BeforeConnect hook with
// MaxConnLifetime. Rotations take turns: a new password for the same user, in
// the database first; a new user, whose predecessor is dropped half an interval
// later.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/internal/storm/rotation"
)

// A result is one line of the output.
type result struct {
	Design      string  `json:"design"`
	Statements  int64   `json:"statements"`
	Failed      int64   `json:"failed"`
	Rotations   int     `json:"rotations"`
	P50         float64 `json:"p50_ms"`
	P99         float64 `json:"p99_ms"`
	P999        float64 `json:"p999_ms"`
	Max         float64 `json:"max_ms"`
	Dials       int64   `json:"dials"`
	MaxSessions int     `json:"max_sessions"`
	Short       int     `json:"short"` // the most connections that the pool was short of at a moment, once it was full
	Login       float64 `json:"login_p50_ms"`
}

type flags struct {
	length  time.Duration
	workers int
	conns   int
	pools   int
	think   time.Duration
	dsn     string
	json    bool
}

func main() {
	var f flags
	only := flag.String("designs", "", "which designs to run, separated by commas; default: all")
	flag.DurationVar(&f.length, "for", 60*time.Second, "how long each design runs")
	flag.IntVar(&f.workers, "workers", 32, "clients")
	flag.IntVar(&f.conns, "conns", 16, "connections of the pool")
	flag.IntVar(&f.pools, "pools", 0, "measure what so many pools cost instead")
	flag.DurationVar(&f.think, "think", 0, "pause of a client between statements")
	flag.StringVar(&f.dsn, "dsn", "", "URL of a PostgreSQL `server` with a user that may create roles; default: a throwaway server")
	flag.BoolVar(&f.json, "json", false, "print JSON lines")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	start := func() error { return run(ctx, f, *only) }
	if f.pools > 0 {
		start = func() error { return crowds(ctx, f) }
	}
	if err := start(); err != nil {
		fmt.Fprintln(os.Stderr, "storm:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, f flags, only string) error {
	server, err := pgserver.Start(ctx, &pgserver.Options{DSN: f.dsn, Log: os.Stderr, Settings: map[string]string{"max_connections": fmt.Sprint(2*f.conns + 100)}})
	if err != nil {
		return err
	}
	defer server.Close()
	if !f.json {
		fmt.Printf("%-14s %10s %8s %9s %8s %8s %8s %9s %6s %8s %5s %8s\n", "design", "statements", "failed", "rotations",
			"p50 ms", "p99 ms", "p99.9 ms", "max ms", "dials", "sessions", "short", "login ms")
	}
	for _, d := range designs {
		if only != "" && !slices.Contains(strings.Split(only, ","), d.name) {
			continue
		}
		r, failure, err := d.run(ctx, server, f)
		if err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		if f.json {
			if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
				return err
			}
			continue
		}
		fmt.Printf("%-14s %10d %8d %9d %8.2f %8.2f %8.2f %9.2f %6d %8d %5d %8.2f\n", r.Design, r.Statements, r.Failed, r.Rotations,
			r.P50, r.P99, r.P999, r.Max, r.Dials, r.MaxSessions, r.Short, r.Login)
		if failure != nil {
			fmt.Printf("  first failures: %.300s\n", strings.ReplaceAll(failure.Error(), "\n", "; "))
		}
	}
	return nil
}

// run runs the storm on one design.
func (d design) run(ctx context.Context, server *pgserver.Server, f flags) (r result, failure, err error) {
	credential, err := rotation.New(ctx, server)
	if err != nil {
		return r, nil, err
	}
	defer credential.CleanUp()
	dials := new(dialCounter)
	db, err := d.open(ctx, setup{dsn: server.AppDSN(), file: credential.File, conns: f.conns, every: d.every, dials: dials})
	if err != nil {
		return r, nil, err
	}
	watch := observe(ctx, server, credential.Group(), db.total)
	clients := load.Start(ctx, f.workers, func(ctx context.Context) error {
		if f.think > 0 {
			time.Sleep(f.think)
		}
		return db.statement(ctx)
	})
	err = d.rotate(ctx, credential, f.length)
	report := clients.Stop()
	sessions, short, login := watch.stop()
	db.close()

	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return result{
		Design: d.name, Statements: report.Statements, Failed: report.Failed, Rotations: credential.Done(),
		P50: ms(report.Latency.P50), P99: ms(report.Latency.P99), P999: ms(report.Latency.P999), Max: ms(report.Latency.Max),
		Dials: dials.Load(), MaxSessions: sessions, Short: short, Login: ms(login),
	}, report.Err, err
}

// rotate rotates every interval of the design until the time is over. An old
// user is dropped half an interval after he was replaced.
func (d design) rotate(ctx context.Context, credential *rotation.Rotation, length time.Duration) error {
	end := time.After(length)
	if d.every == 0 {
		select {
		case <-end:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	tick := time.NewTicker(d.every / 2)
	defer tick.Stop()
	var drop func(context.Context) error
	for n := 1; ; n++ {
		select {
		case <-end:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		var err error
		switch {
		case n%2 == 1:
			drop, err = credential.Next(ctx)
		case drop != nil:
			err = drop(ctx)
		}
		if err != nil {
			return err
		}
	}
}
