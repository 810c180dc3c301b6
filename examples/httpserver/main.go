// The httpserver example is a service as one would run it: an API for orders on
// a managed pool, with probes, metrics, logs and a graceful end. Its database
// user comes from a file or from Vault, changes while it serves, and no request
// fails because of it.
//
//	go -C examples/httpserver run . -demo
//
// main.go puts the parts together, credential.go says where the database user
// comes from, api.go answers requests, serve.go keeps the server until it is told
// to leave, and telemetry.go says what is going on. README.md shows how to run it.
package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/rekey-go/rekey/examples/httpserver/demo"
	"github.com/rekey-go/rekey/examples/orders"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
)

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	slog.SetDefault(log)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	c, err := parse(os.Args[1:])
	switch {
	case err != nil: // which is logged below
	case c.demo:
		err = runDemo(ctx, c, log)
	default:
		err = run(ctx, c, log)
	}
	if err != nil {
		log.Error("the service has ended", "error", err.Error())
		os.Exit(1)
	}
}

// run serves until ctx ends, or until it cannot. What it opens it closes in the
// reverse order: the server first, then the pool, and the credential last.
func run(ctx context.Context, c config, log *slog.Logger) (err error) {
	src, forget, err := c.credential(ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, within(c.grace, forget)) }()

	tel, err := newTelemetry()
	if err != nil {
		return err
	}
	db, err := pool.Open(ctx, c.dsn, src, &pool.Options{
		Refresh: &refresh.Options{Name: "orders", Logger: log},
		Trace:   tel.pools.Trace,
		Logger:  log,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, within(c.grace, db.Shutdown)) }()
	unregister, err := tel.pools.Register(db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unregister()) }()

	s := &server{drain: c.drain, grace: c.grace, log: log}
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", pool.Liveness(db))
	mux.Handle("GET /readyz", s.readiness(db))
	mux.Handle("GET /metrics", tel.metrics)
	mux.Handle("/", limited(tel.observed(newAPI(orders.NewPostgres(db), log), log)))
	s.handler = mux

	listener, err := net.Listen("tcp", c.listen)
	if err != nil {
		return err
	}
	log.Info("listening", "address", listener.Addr().String())
	return s.serve(ctx, listener)
}

// runDemo is run on a database of its own, whose credential changes every few
// seconds.
func runDemo(ctx context.Context, c config, log *slog.Logger) error {
	d, err := demo.Start(ctx, 5*time.Second, log)
	if err != nil {
		return err
	}
	defer d.Close()
	c.dsn, c.credentialFile, c.drain = d.DSN, d.File, 0
	return run(ctx, c, log)
}

// within gives end a time to be done in.
func within(limit time.Duration, end func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return end(ctx)
}
