// Package vaultserver starts a throwaway Vault for tests and examples: the real
// core with its real database engine, on storage that survives a restart, gone
// without a trace after Close.
//
// Where the server comes from, first that works: an address that was given, a
// vault program, and the small server of the nested module core, which is built
// once into the user's cache folder.
package vaultserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/rekey-go/rekey/internal/child"
)

// The environment variables that stand in for fields of Options left empty.
const (
	EnvAddr   = "REKEY_TEST_VAULT_ADDR"
	EnvToken  = "REKEY_TEST_VAULT_TOKEN"
	EnvBinary = "REKEY_TEST_VAULT_BIN"
)

// Options says which server to start and how. Nil means the zero value.
type Options struct {
	// Addr is a running server, http://host:port, and Token its root token. It
	// is used as it is and never stopped or sealed. Empty: REKEY_TEST_VAULT_ADDR
	// and REKEY_TEST_VAULT_TOKEN, unless Own is set.
	Addr, Token string

	// Own asks for a server that can be stopped, sealed and started: an address
	// in the environment is ignored.
	Own bool

	// Binary is the vault program to run. Empty: REKEY_TEST_VAULT_BIN, then
	// vault in PATH, then the nested module. One built with -tags minimal will not
	// do: it has neither storage in files nor the database plugins.
	Binary string

	// Log is told what is going on, such as the server being built. Nil: nobody is.
	Log io.Writer
}

// Server is a running Vault. Its methods are safe for concurrent use.
type Server struct {
	addr    string
	root    string
	key     string // unseals it
	dir     string // of our own, for files; empty for a server given by address
	program program

	mu      sync.Mutex     // one start or stop at a time
	process *child.Process // nil while it is down
}

// ErrNotOurs is returned when a server given by address is asked to stop or seal.
var ErrNotOurs = errors.New("vaultserver: this server was given by address and is neither stopped nor sealed; unset " + EnvAddr + " to have one started that can be")

// Start starts a server, initialised and unsealed, or takes the one that was
// given. The context governs start-up only; Close ends the server.
func Start(ctx context.Context, o *Options) (*Server, error) {
	var opts Options
	if o != nil {
		opts = *o
	}
	if opts.Log == nil {
		opts.Log = io.Discard
	}
	if !opts.Own {
		opts.Addr = cmp.Or(opts.Addr, os.Getenv(EnvAddr))
		opts.Token = cmp.Or(opts.Token, os.Getenv(EnvToken))
	}
	if opts.Addr != "" {
		return given(ctx, opts)
	}

	program, err := choose(ctx, opts.Binary, log.New(opts.Log, "", 0))
	if err != nil {
		return nil, fmt.Errorf("vaultserver: %w", err)
	}
	dir, err := os.MkdirTemp("", "rekey-vault-*")
	if err != nil {
		return nil, fmt.Errorf("vaultserver: %w", err)
	}
	s := &Server{dir: dir, program: program}
	if err := s.create(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// given takes a running server.
func given(ctx context.Context, opts Options) (*Server, error) {
	s := &Server{addr: opts.Addr, root: opts.Token}
	if _, err := s.Do(ctx, "GET", "sys/mounts", nil); err != nil {
		return nil, fmt.Errorf("vaultserver: the server given by address (correct %s and %s): %w", EnvAddr, EnvToken, err)
	}
	return s, nil
}

// create starts the program on a free port.
func (s *Server) create(ctx context.Context) error {
	// A port that is free now may be taken a moment later: then try another.
	var err error
	for range 5 {
		port := freePort()
		s.addr = "http://" + port
		if err = s.Start(ctx); err == nil || ctx.Err() != nil || portFree(port) {
			return err
		}
	}
	return err
}

// Addr is where the server listens, http://host:port. It stays the same across
// Stop and Start.
func (s *Server) Addr() string { return s.addr }

// RootToken is a token that may do everything.
func (s *Server) RootToken() string { return s.root }

// Root is a client with the root token.
func (s *Server) Root() *Client { return &Client{Addr: s.addr, Token: s.root} }

// Do asks as root.
func (s *Server) Do(ctx context.Context, method, path string, in any) (*Response, error) {
	return s.Root().Do(ctx, method, path, in)
}

// Start starts a server that was stopped, at the same address and with the same
// storage, and unseals it. It does nothing to one that runs.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == "" {
		return ErrNotOurs
	}
	if s.process != nil {
		return nil
	}
	cmd, err := s.program.command(s.dir, s.addr)
	if err != nil {
		return fmt.Errorf("vaultserver: %w", err)
	}
	if s.process, err = launch(cmd, s.logFile()); err != nil {
		return fmt.Errorf("vaultserver: %w", err)
	}
	if err := s.open(ctx, s.process); err != nil {
		s.process.Kill()
		s.process = nil
		return fmt.Errorf("vaultserver: %w; its log ends with\n%s", err, s.tail())
	}
	return nil
}

// Stop ends the server in good order. Leases and tokens stay in its storage and
// run on; those that ended meanwhile are revoked after Start.
func (s *Server) Stop(ctx context.Context) error { return s.down(ctx, terminate) }

func terminate(ctx context.Context, p *child.Process) error { return p.End(ctx, syscall.SIGTERM) }

// Crash ends the server at once.
func (s *Server) Crash(ctx context.Context) error {
	return s.down(ctx, func(_ context.Context, p *child.Process) error { p.Kill(); return nil })
}

func (s *Server) down(ctx context.Context, end func(context.Context, *child.Process) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == "" {
		return ErrNotOurs
	}
	if s.process == nil {
		return nil
	}
	err := end(ctx, s.process)
	s.process = nil
	if err != nil {
		return fmt.Errorf("vaultserver: %w", err)
	}
	return nil
}

// Restart is Stop and Start.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Stop(ctx); err != nil {
		return err
	}
	return s.Start(ctx)
}

// Close ends the server and removes all its files. A server given by address is
// left running. It may be called more than once.
func (s *Server) Close() error {
	if s.dir == "" {
		return nil
	}
	return errors.Join(s.Crash(context.Background()), os.RemoveAll(s.dir))
}

func (s *Server) logFile() string { return filepath.Join(s.dir, "vault.log") }

// tail is the end of the server's log.
func (s *Server) tail() string {
	text, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4096):])
}

// patience bounds the wait for a server to start, seal or unseal.
const patience = time.Minute
