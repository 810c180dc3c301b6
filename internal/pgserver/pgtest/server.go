// Package pgtest gives tests a real PostgreSQL. A test that cannot have one
// fails with the command that helps; none is skipped.
package pgtest

import (
	"context"
	"log"
	"os"
	"sync"
	"testing"

	"github.com/rekey-go/rekey/internal/pgserver"
)

// shared is the server of this test binary, started when first asked for.
var shared struct {
	once   sync.Once
	server *pgserver.Server
	err    error
}

// Server returns the server that all tests of this binary share. It must not
// be stopped: New gives one for that. Main closes it.
func Server(t testing.TB) *pgserver.Server {
	t.Helper()
	shared.once.Do(func() {
		shared.server, shared.err = pgserver.Start(context.Background(), &pgserver.Options{Log: os.Stderr})
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

// New starts a server for this test alone, which it may stop and start. Own is
// set whatever the options say; nil options are the zero value.
func New(t testing.TB, o *pgserver.Options) *pgserver.Server {
	t.Helper()
	opts := pgserver.Options{}
	if o != nil {
		opts = *o
	}
	opts.Own = true
	if opts.Log == nil {
		opts.Log = t.Output()
	}
	s, err := pgserver.Start(t.Context(), &opts)
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

// Newest starts a server of the newest version to be had for this test alone, see
// [pgserver.Newest]. Nil options are the zero value.
func Newest(t testing.TB, o *pgserver.Options) *pgserver.Server {
	t.Helper()
	bin, err := pgserver.Newest(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	opts := pgserver.Options{}
	if o != nil {
		opts = *o
	}
	opts.Binaries = bin
	return New(t, &opts)
}

// Runner is what TestMain is given: a *testing.M.
type Runner interface{ Run() int }

// Suite runs the tests and then closes the shared server. It is a Runner
// itself, for callers that take one:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Suite{m}) }
type Suite struct{ Runner }

// Run implements Runner.
func (s Suite) Run() int {
	code := s.Runner.Run()
	if shared.server == nil {
		return code
	}
	if err := shared.server.Close(); err != nil {
		log.Println("pgtest:", err)
		return max(code, 1)
	}
	return code
}

// Main runs the tests, closes the shared server and returns the exit code:
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
func Main(m *testing.M) int { return Suite{m}.Run() }
