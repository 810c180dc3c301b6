// Package vaulttest gives tests a real Vault whose database engine works on a
// real PostgreSQL. A test that cannot have one fails with the command that
// helps; none is skipped.
package vaulttest

import (
	"context"
	"log"
	"os"
	"sync"
	"testing"

	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/internal/vaultserver"
)

// shared is the server of this test binary, started when first asked for.
var shared struct {
	once   sync.Once
	server *vaultserver.Server
	err    error
}

// Server returns the server that all tests of this binary share. It must not
// be stopped or sealed: New gives one for that. Suite and Main close it.
func Server(t testing.TB) *vaultserver.Server {
	t.Helper()
	shared.once.Do(func() {
		shared.server, shared.err = vaultserver.Start(context.Background(), &vaultserver.Options{Log: os.Stderr})
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

// New starts a server for this test alone, which it may stop, seal and start.
// Own is set whatever the options say; nil options are the zero value.
func New(t testing.TB, o *vaultserver.Options) *vaultserver.Server {
	t.Helper()
	opts := vaultserver.Options{}
	if o != nil {
		opts = *o
	}
	opts.Own = true
	if opts.Log == nil {
		opts.Log = os.Stderr
	}
	s, err := vaultserver.Start(t.Context(), &opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Suite runs the tests and then closes the shared Vault and the shared
// PostgreSQL of pgtest. It is a Runner itself, for callers that take one:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(vaulttest.Suite{m}) }
type Suite struct{ pgtest.Runner }

// Run implements pgtest.Runner.
func (s Suite) Run() int { return pgtest.Suite{Runner: vaultFirst(s)}.Run() }

// vaultFirst closes Vault, which still has users of PostgreSQL to drop.
type vaultFirst struct{ pgtest.Runner }

func (v vaultFirst) Run() int {
	code := v.Runner.Run()
	if shared.server == nil {
		return code
	}
	if err := shared.server.Close(); err != nil {
		log.Println("vaulttest:", err)
		return max(code, 1)
	}
	return code
}

// Main runs the tests, closes what is shared and returns the exit code:
//
//	func TestMain(m *testing.M) { os.Exit(vaulttest.Main(m)) }
func Main(m *testing.M) int { return Suite{m}.Run() }
