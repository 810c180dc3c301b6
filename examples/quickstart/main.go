// Quickstart shows rekey's main job on a real PostgreSQL: a pool serves
// statements while its password, its user and its role change underneath, and
// no statement fails.
//
//	go run ./examples/quickstart
//	go run ./examples/quickstart -plot rollover.svg # and draws the run
//
// It starts a throwaway PostgreSQL (or takes the one of -dsn, whose user must
// be allowed to create roles), opens a ManagedPool on a watched credential
// file, and runs clients while the credential is rotated again and again:
// alternately a new password for the same user, in the database first and in
// the file second, and a new user whose predecessor is dropped once it is no
// longer in use. It exits with 1 if any statement failed.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/internal/storm/rotation"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/source/file"
)

type flags struct {
	rotations int
	length    time.Duration
	workers   int
	conns     int
	dsn       string
	json      bool
	plot      string
}

func main() {
	var f flags
	flag.IntVar(&f.rotations, "rotations", 10, "how often the credential is rotated")
	flag.DurationVar(&f.length, "for", 20*time.Second, "how long the clients run")
	flag.IntVar(&f.workers, "workers", 32, "clients")
	flag.IntVar(&f.conns, "conns", 16, "connections of the pool")
	flag.StringVar(&f.dsn, "dsn", "", "URL of a PostgreSQL `server` with a user that may create roles; default: a throwaway server")
	flag.BoolVar(&f.json, "json", false, "end with one line of JSON")
	flag.StringVar(&f.plot, "plot", "", "draw connections and latency over time into this SVG `file`")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	failed, err := run(ctx, f)
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
	}
	if err != nil || failed > 0 {
		os.Exit(1)
	}
}

func run(ctx context.Context, f flags) (failed int64, err error) {
	if f.rotations < 0 || f.length <= 0 || f.workers < 1 || f.conns < 1 {
		return 0, fmt.Errorf("-rotations must not be negative, and -for, -workers and -conns must be positive")
	}
	server, err := pgserver.Start(ctx, &pgserver.Options{DSN: f.dsn, Log: os.Stderr})
	if err != nil {
		return 0, err
	}
	defer server.Close()
	credential, err := rotation.New(ctx, server)
	if err != nil {
		return 0, err
	}
	defer credential.CleanUp()

	// This is all that a service does: a source, a pool, and statements. The
	// table below tells more than a log would; a service leaves out the options.
	src := file.JSON(credential.File, nil)
	db, err := pool.Open(ctx, withSize(server.AppDSN(), f.conns), src, &pool.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return 0, err
	}
	defer db.Close()
	clients := load.Start(ctx, f.workers, func(ctx context.Context) error {
		var sum int
		return db.QueryRow(ctx, "select $1::int + $2::int", 1, 2).Scan(&sum)
	})

	progress := newTable(os.Stdout, server, credential, db, clients)
	samples := startSampler(ctx, db, clients, f.length)
	defer samples.stop()
	pause := f.length / time.Duration(f.rotations+1)
	begin := progress.Begin()
	for n := range f.rotations {
		if !progress.Watch(ctx, begin.Add(time.Duration(n+1)*pause)) {
			break
		}
		samples.rotating(n + 1)
		if err := rotate(ctx, credential, db); err != nil {
			clients.Stop()
			return 0, fmt.Errorf("rotation %d: %w", n+1, err)
		}
	}
	progress.Watch(ctx, begin.Add(f.length))
	samples.stop()
	report := clients.Stop()
	sumUp(os.Stdout, progress.Summary(report, credential.Done()), f.json, report.Err)
	if f.plot == "" {
		return report.Failed, nil
	}
	setting := fmt.Sprintf("%d clients on %d connections, rotated %d times in %g s: a new password and a new user in turn; PostgreSQL %d beside them",
		f.workers, f.conns, credential.Done(), f.length.Seconds(), server.Version()/10000)
	return report.Failed, samples.draw(f.plot, setting, report, f.conns, progress.Login())
}

// withSize sets the size of the pool in a connection URL.
func withSize(dsn string, conns int) string {
	mark := "?"
	if strings.Contains(dsn, "?") {
		mark = "&"
	}
	return fmt.Sprintf("%s%spool_max_conns=%d", dsn, mark, conns)
}

// rotate changes the credential in the database and in the file. If there is a
// new user, the old one is dropped when this process has let go of it.
func rotate(ctx context.Context, credential *rotation.Rotation, db *pool.ManagedPool) error {
	version := db.Refresher().Current().Version
	drop, err := credential.Next(ctx)
	if err != nil || drop == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := db.Drained(ctx, version); err != nil {
		return fmt.Errorf("the old user is still in use: %w", err)
	}
	return drop(ctx)
}
