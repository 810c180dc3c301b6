// Package moto starts moto's server, another emulation of AWS, for tests: with it
// the one in package smserver is compared.
//
// Where the server comes from, first that works: the address in REKEY_TEST_MOTO,
// moto_server in PATH, and a Python environment in a cache folder that is made
// once, on Debian or Ubuntu as root with the packages that it needs.
package moto

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rekey-go/rekey/internal/child"
)

// EnvAddr names a server that runs: host:port or a URL. It is used as it is and
// never stopped.
const EnvAddr = "REKEY_TEST_MOTO"

// Options says how to start a server. Nil means the zero value.
type Options struct {
	// Log is told what is going on, such as a package being installed. Nil: nobody is.
	Log io.Writer
}

// A Server is a running moto. Its methods are safe for concurrent use.
type Server struct {
	// URL is the endpoint for the SDK, without a slash at the end.
	URL string

	dir  string         // of its log; empty for one that was given
	proc *child.Process // nil for one that was given
}

// ours is as whom moto runs: it has nothing against root.
var ours child.Account

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
	s, err := start(ctx, log.New(opts.Log, "", 0))
	if err != nil {
		return nil, fmt.Errorf("moto: %w", err)
	}
	return s, nil
}

func start(ctx context.Context, log *log.Logger) (*Server, error) {
	if addr := os.Getenv(EnvAddr); addr != "" {
		s := &Server{URL: strings.TrimSuffix(addr, "/")}
		if !strings.Contains(addr, "://") {
			s.URL = "http://" + s.URL
		}
		if err := s.ask(ctx, http.MethodGet, "/moto-api/"); err != nil {
			return nil, fmt.Errorf("the server that %s names: %w", EnvAddr, err)
		}
		return s, nil
	}
	program, err := choose(ctx, log)
	if err != nil {
		return nil, err
	}
	log.Println("starting", program)
	// A port that is free now may be taken a moment later: then try another.
	for range 5 {
		var s *Server
		if s, err = launch(ctx, program); err == nil || ctx.Err() != nil {
			return s, err
		}
	}
	return nil, err
}

// launch starts the program on a free port. The settings of AWS and moto that
// the caller may have must not reach it.
func launch(ctx context.Context, program string) (*Server, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "rekey-moto-*")
	if err != nil {
		return nil, err
	}
	s := &Server{URL: "http://" + addr, dir: dir}
	out, err := os.Create(s.logFile())
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	defer out.Close()
	host, port, _ := net.SplitHostPort(addr) // our own
	cmd := exec.Command(program, "-H", host, "-p", port)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "AWS_") || strings.HasPrefix(v, "MOTO_")
	})
	proc, err := ours.Start(cmd, syscall.SIGKILL)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.proc = proc
	if err := s.ready(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// ready waits until the server answers, has ended, or takes too long.
func (s *Server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.ask(ctx, http.MethodGet, "/moto-api/")
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.proc.Done():
			return fmt.Errorf("the server ended while starting; its log says\n%s", s.log())
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer (%w); its log says\n%s", err, s.log())
		}
	}
}

// Reset makes the server forget everything.
func (s *Server) Reset(ctx context.Context) error {
	if err := s.ask(ctx, http.MethodPost, "/moto-api/reset"); err != nil {
		return fmt.Errorf("moto: reset: %w", err)
	}
	return nil
}

// ask uses a connection of its own, so that none is left over.
func (s *Server) ask(ctx context.Context, method, path string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.URL+path, nil)
	if err != nil {
		return err
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, path, res.Status)
	}
	return nil
}

// Close ends the server and removes its files. A server that was given is left
// running. It may be called more than once.
func (s *Server) Close() error {
	if s.proc != nil {
		s.proc.Kill()
	}
	if s.dir == "" {
		return nil
	}
	return os.RemoveAll(s.dir)
}

func (s *Server) logFile() string { return filepath.Join(s.dir, "log") }

// log is the end of what the server has said.
func (s *Server) log() []byte {
	text, err := os.ReadFile(s.logFile())
	if err != nil {
		return []byte(err.Error())
	}
	return text[max(0, len(text)-2048):]
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), l.Close()
}
