// Kubernetes is a service whose database credential lies in files that others
// replace while it runs, and the manifests that put them there: the volume of a
// Secret (secret.yaml), External Secrets, the CSI secrets store with Vault and AWS,
// and Vault's Agent Injector, with a signal and without.
//
//	shop -database 'postgres://db.shop.svc/orders?sslmode=verify-full' -dir /run/secrets/db
//
// It knows of none of them: a path is all that differs.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/rekey-go/rekey/examples/orders"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/source/file"
)

// shutdown is how long requests and connections have to end. The pod's grace
// period is longer.
const shutdown = 20 * time.Second

type flags struct {
	database  string
	dir, json string
	sighup    bool
	maxAge    time.Duration
	listen    string
}

func parse(args []string, output io.Writer) (flags, error) {
	var f flags
	set := flag.NewFlagSet("shop", flag.ContinueOnError)
	set.SetOutput(output)
	set.StringVar(&f.database, "database", "", "`URL` of the database, without user and password")
	set.StringVar(&f.dir, "dir", "", "`directory` with the files username and password")
	set.StringVar(&f.json, "json", "", "`file` {\"username\": …, \"password\": …}")
	set.BoolVar(&f.sighup, "sighup", false, "read the file at once on SIGHUP")
	set.DurationVar(&f.maxAge, "max-age", 0, "warn when the file is older; a little more than the time between two rotations")
	set.StringVar(&f.listen, "listen", ":8080", "`address` for HTTP")
	err := set.Parse(args)
	switch {
	case err != nil:
	case f.database == "":
		err = errors.New("-database is missing")
	case (f.dir == "") == (f.json == ""):
		err = errors.New("either -dir or -json says where the credential is")
	}
	return f, err
}

// source reads the credential where the manifest has it put.
func (f flags) source() *file.Source {
	opts := &file.Options{OnSIGHUP: f.sighup, MaxAge: f.maxAge}
	if f.dir != "" {
		return file.Dir(f.dir, opts)
	}
	return file.JSON(f.json, opts)
}

func main() {
	// A SIGHUP that nobody catches ends a process. This is for those that the agent
	// sends before the file is watched, and after.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	f, err := parse(os.Args[1:], os.Stderr)
	if err == nil {
		err = run(ctx, f)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

// run serves until the context ends.
func run(ctx context.Context, f flags) error {
	src := f.source()
	slog.Info("shop: starting", "credential", src.String())
	db, err := pool.Open(ctx, f.database, src, nil)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", f.listen)
	if err != nil {
		db.Close()
		return err
	}
	slog.Info("shop: serving", "address", listener.Addr().String())
	server := &http.Server{Handler: handler(db), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.Background(), shutdown)
	defer cancel()
	return errors.Join(err, server.Shutdown(end), db.Shutdown(end)) // requests first: they need connections
}

// handler is the shop and the probes of the manifests.
func handler(db *pool.ManagedPool) http.Handler {
	store := orders.NewPostgres(db)
	mux := http.NewServeMux()
	mux.Handle("GET /readyz", pool.Handler(db))
	mux.Handle("GET /livez", pool.Liveness(db))
	mux.HandleFunc("GET /orders", func(w http.ResponseWriter, r *http.Request) {
		latest, err := store.Latest(r.Context(), 10)
		answer(w, latest, err)
	})
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		order, err := store.Place(r.Context(), r.FormValue("item"), 1)
		answer(w, order, err)
	})
	return mux
}

func answer(w http.ResponseWriter, body any, err error) {
	switch {
	case errors.Is(err, orders.ErrSoldOut):
		http.Error(w, err.Error(), http.StatusConflict)
	case err != nil:
		slog.Error("shop: request failed", "error", err)
		http.Error(w, "try again later", http.StatusServiceUnavailable)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(body) // a client that has left is no error
	}
}
