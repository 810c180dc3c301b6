// Package mysqlserver starts a throwaway MariaDB or MySQL server for tests: TLS
// with a certificate authority of its own, ready in seconds, gone without a
// trace after Close.
//
// Where the server comes from, first that works: a DSN that was given, local
// binaries, and on Debian or Ubuntu a package: MariaDB's is installed, as root;
// MySQL's are taken from Debian unstable and only unpacked into a cache folder.
package mysqlserver

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/rekey-go/rekey/internal/testca"
)

// A Product is one of the two families of servers.
type Product string

// The products. Their SQL for users differs, and so do their error numbers.
const (
	MariaDB Product = "MariaDB"
	MySQL   Product = "MySQL"
)

// Options says which server to start and how. Nil means the zero value.
type Options struct {
	// Product to start. Empty: MariaDB.
	Product Product

	// DSN is that of a running server of the product and its superuser, in the
	// form of go-sql-driver/mysql: user:password@tcp(host:port)/?tls=… It is
	// used as it is and never stopped. Empty: REKEY_TEST_MARIADB_DSN or
	// REKEY_TEST_MYSQL_DSN, unless Own is set.
	DSN string

	// Own asks for a server that can be stopped and started: a DSN in the
	// environment is ignored.
	Own bool

	// Binaries is the directory of mariadbd or mysqld. Empty:
	// REKEY_TEST_MARIADB_BIN or REKEY_TEST_MYSQL_BIN, then PATH and /usr/sbin.
	Binaries string

	// Settings are server settings as in my.cnf. They take precedence over what
	// this package sets. Ignored for a server given by DSN.
	Settings map[string]string

	// Log is told what is going on, such as a package being installed. Nil: nobody is.
	Log io.Writer
}

// env is the name of an environment variable that stands in for an option.
func (o *Options) env(what string) string {
	if o.Product == MySQL {
		return "REKEY_TEST_MYSQL_" + what
	}
	return "REKEY_TEST_MARIADB_" + what
}

// Server is a running MariaDB or MySQL. Its methods are safe for concurrent use.
type Server struct {
	product Product
	engine  *engine // nil for a server given by DSN
	dir     string
	config  *mysql.Config // of the superuser
	caFile  string
	version string

	mu sync.Mutex // one start or stop at a time
	up bool

	admin admin
}

// ErrNotOurs is returned when a server given by DSN is asked to stop or start.
var ErrNotOurs = errors.New("mysqlserver: this server was given by DSN and is not stopped")

// Start starts a server, or takes the one that was given, and returns when it
// answers. The context governs start-up only; Close ends the server.
func Start(ctx context.Context, o *Options) (*Server, error) {
	var opts Options
	if o != nil {
		opts = *o
	}
	opts.Product = cmp.Or(opts.Product, MariaDB)
	if opts.Log == nil {
		opts.Log = io.Discard
	}
	if !opts.Own {
		opts.DSN = cmp.Or(opts.DSN, os.Getenv(opts.env("DSN")))
	}
	s := &Server{product: opts.Product}
	s.admin.server = s
	var err error
	if opts.DSN != "" {
		err = s.given(ctx, opts)
	} else {
		err = s.create(ctx, opts)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// given takes the server behind a DSN.
func (s *Server) given(ctx context.Context, opts Options) error {
	config, err := mysql.ParseDSN(opts.DSN)
	if err != nil {
		return fmt.Errorf("mysqlserver: %s cannot be parsed; it should look like user:password@tcp(host:3306)/?tls=true", opts.env("DSN"))
	}
	s.config, s.up = config, true
	if err := s.probe(ctx); err != nil {
		return fmt.Errorf("mysqlserver: the server given by DSN: %w", err)
	}
	return nil
}

// create makes certificates, finds binaries and starts them on a free port.
func (s *Server) create(ctx context.Context, opts Options) error {
	dir, err := tempDir()
	if err != nil {
		return fmt.Errorf("mysqlserver: %w", err)
	}
	s.dir, s.caFile = dir, filepath.Join(dir, caName)
	keys, err := testca.New()
	if err != nil {
		return fmt.Errorf("mysqlserver: %w", err)
	}
	logger := log.New(opts.Log, "", 0)
	program, err := choose(ctx, opts, logger)
	if err != nil {
		return err
	}
	s.config = mysql.NewConfig()
	s.config.User, s.config.Passwd, s.config.Net, s.config.TLS = "admin", rand.Text(), "tcp", trusting(keys)
	s.config.Logger = &mysql.NopLogger{}
	logger.Println("starting", s.product, "from", program.path)
	if s.engine, err = newEngine(ctx, dir, program, keys, s.config.Passwd, opts.Settings); err != nil {
		return err
	}
	// A port that is free now may be taken a moment later: then try another.
	for range 5 {
		var port uint16
		if port, err = freePort(); err != nil {
			return fmt.Errorf("mysqlserver: %w", err)
		}
		s.engine.port = port
		s.config.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port)))
		if err = s.Start(ctx); err == nil || ctx.Err() != nil || portFree(port) {
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
	if err := s.engine.start(); err != nil {
		return fmt.Errorf("mysqlserver: %w", err)
	}
	if err := s.ready(ctx); err != nil {
		return errors.Join(err, s.engine.stop(context.WithoutCancel(ctx), crash))
	}
	s.up = true
	return nil
}

// Stop shuts the server down in good order; new clients are refused until Start.
func (s *Server) Stop(ctx context.Context) error { return s.down(ctx, orderly) }

// Crash ends the server at once; the next Start recovers what was committed.
func (s *Server) Crash(ctx context.Context) error { return s.down(ctx, crash) }

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
		return fmt.Errorf("mysqlserver: %w", err)
	}
	return nil
}

// Close ends the server and removes all its files. A server given by DSN is
// left running. It may be called more than once.
func (s *Server) Close() error {
	s.admin.close()
	var err error
	if s.engine != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		err = s.down(ctx, crash)
	}
	if s.dir == "" {
		return err
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// ready waits until the server answers, has ended, or takes too long.
func (s *Server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.engine.proc.Done():
			return fmt.Errorf("mysqlserver: the server ended while starting; its log ends with\n%s", s.engine.tail())
		case <-ctx.Done():
			return fmt.Errorf("mysqlserver: the server does not answer (%w); its log ends with\n%s", err, s.engine.tail())
		}
	}
}

// probe logs in once and learns the version.
func (s *Server) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	db, err := s.Admin()
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return db.QueryRowContext(ctx, "select version()").Scan(&s.version)
}
