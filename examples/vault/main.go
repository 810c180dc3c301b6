// The vault example runs a service whose database users come from Vault and
// live for ten seconds, and no statement fails.
//
//	go -C examples/vault run .
//
// It starts a throwaway PostgreSQL and a throwaway Vault with its database
// engine, and runs clients on a pool while Vault makes one user after the other
// and drops them again. It exits with 1 if any statement failed, if there were
// ever more than two leases at a time, or if one is left at the end.
//
// service.go is what an application needs. Directory setup holds what an
// administrator needs, README.md explains both.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"github.com/rekey-go/rekey/examples/vault/setup"
	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
)

type flags struct {
	length      time.Duration
	workers     int
	conns       int
	preferRenew bool
	log         bool
	json        bool

	lives setup.Options
}

func main() {
	f := flags{lives: lives}
	flag.DurationVar(&f.length, "for", time.Minute, "how long the clients run")
	flag.IntVar(&f.workers, "workers", 32, "clients")
	flag.IntVar(&f.conns, "conns", 16, "connections of the pool")
	flag.BoolVar(&f.preferRenew, "prefer-renew", false, "renew leases as long as Vault allows, rather than replace them")
	flag.BoolVar(&f.log, "log", false, "show what the library logs, on standard error")
	flag.BoolVar(&f.json, "json", false, "end with one line of JSON")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	s, err := run(ctx, f)
	if err == nil {
		err = s.check()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "vault:", err)
		os.Exit(1)
	}
}

// How long users and tokens live, short enough to watch.
var lives = setup.Options{
	TTL: 10 * time.Second, MaxTTL: 30 * time.Second,
	TokenTTL: 20 * time.Second, TokenMaxTTL: time.Minute,
	Log: os.Stderr,
}

func run(ctx context.Context, f flags) (_ summary, err error) {
	if f.length <= 0 || f.workers < 1 || f.conns < 1 {
		return summary{}, errors.New("-for, -workers and -conns must be positive")
	}
	lab, err := setup.Start(ctx, f.lives)
	if err != nil {
		return summary{}, err
	}
	defer func() { err = errors.Join(err, lab.Close()) }()
	leases := watchLeases(lab)
	defer leases.stop()
	client, err := lab.Client()
	if err != nil {
		return summary{}, err
	}
	defer client.CloneConfig().HttpClient.CloseIdleConnections()

	log := slog.New(slog.DiscardHandler) // the table says more
	if f.log {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	service, err := start(ctx, client, lab.RoleID, lab.SecretID, fmt.Sprintf("%s&pool_max_conns=%d", lab.DSN(), f.conns), &pool.Options{
		Refresh: &refresh.Options{PreferRenew: f.preferRenew, Logger: log},
		Logger:  log,
	})
	if err != nil {
		return summary{}, err
	}
	defer service.stop(context.Background()) //nolint:errcheck // unless it was stopped below
	if err := service.migrate(ctx); err != nil {
		return summary{}, err
	}
	clients := load.Start(ctx, f.workers, service.statement)
	progress := newTable(os.Stdout, lab, service, clients, leases)
	progress.Watch(ctx, progress.Begin().Add(f.length))
	report := clients.Stop()
	s := summary{
		Summary:     progress.Summary(report, int(service.db.Health().Generation)-1),
		VaultLogins: service.session.Health().Logins,
	}

	stopping, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err = service.db.Shutdown(stopping)
	leases.stop() // before the end of the token ends its leases
	if err := errors.Join(err, service.stop(stopping)); err != nil {
		return s, err
	}
	s.leaseCounts, err = leases.counts()
	s.print(os.Stdout, f.json, report.Err)
	return s, err
}
