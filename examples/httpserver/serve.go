package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
)

// A server serves until it is told to leave, and loses no request when it does.
type server struct {
	handler      http.Handler
	drain, grace time.Duration
	log          *slog.Logger

	leaving atomic.Bool
}

// serve serves until ctx ends. Then the service is unready, so that no more
// requests are sent its way, but takes those that still come. After drain it
// takes no more, and those that have begun may end within grace.
func (s *server) serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      maxTime + 5*time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelError),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}

	s.leaving.Store(true)
	s.log.Info("leaving", "drain", s.drain.String())
	select {
	case err := <-served:
		return err
	case <-time.After(s.drain):
	}
	err := within(s.grace, srv.Shutdown)
	if err != nil {
		err = errors.Join(fmt.Errorf("requests were cut off: %w", err), srv.Close())
	}
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}

// ServeHTTP asks clients of a server that leaves to come back on another
// connection, which is one to another server.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.leaving.Load() {
		w.Header().Set("Connection", "close")
	}
	s.handler.ServeHTTP(w, r)
}

// readiness answers whether requests may be sent here: not to a server that
// leaves, not without a credential, and not while the database does not answer.
// The body is that of [pool.Handler], which says more to people. A store of
// credentials that is away does not make the service unready.
//
// Restarting helps against none of these, so the probe for liveness is another.
func (s *server) readiness(db *pool.ManagedPool) http.Handler {
	credential := pool.Handler(db)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		state := db.Health().State
		usable := state == refresh.Fresh || state == refresh.Degraded
		switch {
		case s.leaving.Load():
			http.Error(w, "the service is leaving", http.StatusServiceUnavailable)
		case usable && !answers(r.Context(), db):
			http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
		default:
			credential.ServeHTTP(w, r)
		}
	})
}

// answers asks the database for a sign of life. That no connection is free in
// time, because requests are at work on all of them, is not a bad one.
func answers(ctx context.Context, db *pool.ManagedPool) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err := db.Ping(ctx)
	stat := db.Stat()
	busy := stat.AcquiredConns() > 0 && stat.IdleConns() == 0
	return err == nil || busy && errors.Is(err, context.DeadlineExceeded)
}
