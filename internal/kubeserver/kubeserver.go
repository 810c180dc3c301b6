// Package kubeserver starts a throwaway Kubernetes control plane for tests and
// examples: the real kube-apiserver with RBAC on a real etcd, and the garbage
// collector for Secrets; no nodes and no other controllers. It is gone without a
// trace after Close.
//
// Where the server comes from: an address that was given, else the nested module
// core, which is built once into the user's cache folder.
package kubeserver

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/rekey-go/rekey/internal/buildonce"
	"github.com/rekey-go/rekey/internal/child"
	"github.com/rekey-go/rekey/internal/testca"
)

// The environment variables that name a running server: https://host:port, the
// bearer token of somebody who may do everything, and the file with the
// authority of its certificate.
const (
	EnvAddr  = "REKEY_TEST_KUBERNETES_ADDR"
	EnvToken = "REKEY_TEST_KUBERNETES_TOKEN"
	EnvCA    = "REKEY_TEST_KUBERNETES_CA"
)

// Server is a running API server.
type Server struct {
	addr, token string
	ca          []byte
	dir         string // of our own, for files; empty for a server given by address
	process     *child.Process
}

// ours is as whom everything runs here: Kubernetes has nothing against root.
var ours child.Account

// patience bounds the wait for a server to start.
const patience = 2 * time.Minute

// Prepare does beforehand what takes minutes: it builds the server, unless
// another one will be used. Start does the same when it has to.
func Prepare(ctx context.Context, out io.Writer) error {
	if os.Getenv(EnvAddr) != "" {
		return nil
	}
	_, err := build(ctx, log.New(out, "", 0))
	return err
}

func build(ctx context.Context, log *log.Logger) (string, error) {
	_, file, _, _ := runtime.Caller(0)
	return buildonce.Program{
		Name: "kubernetes", Title: "Kubernetes", Dir: filepath.Join(filepath.Dir(file), "core"),
		Env: []string{"CGO_ENABLED=0"}, Flags: []string{buildonce.Quick},
	}.Path(ctx, log)
}

// Start starts a server, or takes the one that was given, and waits until it is
// ready. The context governs start-up only; Close ends the server. out is told
// what is going on, such as the server being built.
func Start(ctx context.Context, out io.Writer) (*Server, error) {
	if addr := os.Getenv(EnvAddr); addr != "" {
		return given(ctx, addr)
	}
	program, err := build(ctx, log.New(out, "", 0))
	if err != nil {
		return nil, fmt.Errorf("kubeserver: %w\nrun: go run ./internal/kubeserver/prepare; or name a server in %s, %s and %s", err, EnvAddr, EnvToken, EnvCA)
	}
	s := &Server{token: rand.Text()}
	if s.dir, err = os.MkdirTemp("", "rekey-kubernetes-*"); err != nil {
		return nil, fmt.Errorf("kubeserver: %w", err)
	}
	if err := s.start(ctx, program); err != nil {
		err = fmt.Errorf("kubeserver: %w; its log ends with\n%s", err, s.tail())
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// given takes a running server.
func given(ctx context.Context, addr string) (*Server, error) {
	ca, err := os.ReadFile(os.Getenv(EnvCA))
	s := &Server{addr: strings.TrimSuffix(addr, "/"), token: os.Getenv(EnvToken), ca: ca}
	if err == nil {
		err = s.ask(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("kubeserver: the server given by address (correct %s, %s and %s): %w", EnvAddr, EnvToken, EnvCA, err)
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, program string) error {
	keys, err := testca.New()
	if err != nil {
		return err
	}
	s.ca = keys.CA
	for name, text := range map[string][]byte{"ca.crt": keys.CA, "tls.crt": keys.Cert, "tls.key": keys.Key, "token": []byte(s.token)} {
		if err := os.WriteFile(filepath.Join(s.dir, name), text, 0o600); err != nil {
			return err
		}
	}
	out, err := os.Create(s.Log())
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(program, "-dir", s.dir)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, out, out
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + s.dir, "LC_ALL=C", "TZ=UTC"}
	if s.process, err = ours.Start(cmd, syscall.SIGKILL); err != nil {
		s.process = nil
		return err
	}
	return s.wait(ctx)
}

// wait waits for the address, which the server writes once it is ready.
func (s *Server) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if addr, err := os.ReadFile(filepath.Join(s.dir, "address")); err == nil {
			s.addr = "https://" + string(addr)
			return s.ask(ctx)
		}
		select {
		case <-tick.C:
		case <-s.process.Done():
			return errors.Join(errors.New("the server ended while starting"), s.process.Err())
		case <-ctx.Done():
			return fmt.Errorf("the server does not get ready: %w", ctx.Err())
		}
	}
}

// ask checks that the server answers to our token.
func (s *Server) ask(ctx context.Context) error {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.addr+"/api/v1/namespaces/default", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // nothing is read
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", res.Status)
	}
	return nil
}

// Addr is where the server listens, https://host:port.
func (s *Server) Addr() string { return s.addr }

// CA is the authority of its certificate, in PEM.
func (s *Server) CA() []byte { return s.ca }

// Log names the file that the server writes its log to; empty for a server given
// by address.
func (s *Server) Log() string {
	if s.dir == "" {
		return ""
	}
	return filepath.Join(s.dir, "log")
}

// Token is a bearer token that may do everything.
func (s *Server) Token() string { return s.token }

// Close ends the server and removes all its files. A server given by address is
// left running. It may be called more than once.
func (s *Server) Close() error {
	if s.process != nil {
		s.process.Kill()
		s.process = nil
	}
	if s.dir == "" {
		return nil
	}
	return os.RemoveAll(s.dir)
}

// tail is the end of the server's log.
func (s *Server) tail() string {
	text, err := os.ReadFile(s.Log())
	if err != nil {
		return err.Error()
	}
	return cmp.Or(string(text[max(0, len(text)-4096):]), "nothing")
}
