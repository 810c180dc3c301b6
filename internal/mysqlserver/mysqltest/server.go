// Package mysqltest gives tests a real MariaDB or MySQL. A test that cannot
// have one fails with the command that helps; none is skipped.
package mysqltest

import (
	"context"
	"errors"
	"log"
	"os"
	"sync"
	"testing"

	"github.com/rekey-go/rekey/internal/mysqlserver"
)

// shared are the servers of this test binary, each started when first asked for.
var shared = map[mysqlserver.Product]*start{mysqlserver.MariaDB: {}, mysqlserver.MySQL: {}}

type start struct {
	once   sync.Once
	server *mysqlserver.Server
	err    error
}

// Server returns the server of a product that all tests of this binary share.
// It must not be stopped: New gives one for that. Suite closes it.
func Server(t testing.TB, product mysqlserver.Product) *mysqlserver.Server {
	t.Helper()
	s := shared[product]
	s.once.Do(func() {
		s.server, s.err = mysqlserver.Start(context.Background(), &mysqlserver.Options{Product: product, Log: os.Stderr})
	})
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.server
}

// New starts a server for this test alone, which it may stop and start. Own is
// set whatever the options say; nil options are the zero value.
func New(t testing.TB, o *mysqlserver.Options) *mysqlserver.Server {
	t.Helper()
	opts := mysqlserver.Options{}
	if o != nil {
		opts = *o
	}
	opts.Own = true
	if opts.Log == nil {
		opts.Log = t.Output()
	}
	s, err := mysqlserver.Start(t.Context(), &opts)
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

// Runner is what TestMain is given: a *testing.M.
type Runner interface{ Run() int }

// Suite runs the tests and then closes the shared servers. It is a Runner
// itself, for callers that take one:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(mysqltest.Suite{m}) }
type Suite struct{ Runner }

// Run implements Runner.
func (s Suite) Run() int {
	code := s.Runner.Run()
	var errs []error
	for _, s := range shared {
		if s.server != nil {
			errs = append(errs, s.server.Close())
		}
	}
	if err := errors.Join(errs...); err != nil {
		log.Println("mysqltest:", err)
		return max(code, 1)
	}
	return code
}
