package crashtest_test

import (
	"context"
	"slices"
	"testing"

	"github.com/rekey-go/rekey/internal/mysqlserver"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/postgres"
	"github.com/rekey-go/rekey/source"
)

// A targetKind is a row of the matrix.
type targetKind struct {
	name  string
	make  func(t *testing.T) users                                       // new ones
	open  func(p place, in *injector, unfit bool) (rotate.Target, error) // unfit: verify finds something
	lock  func(p place) (lock, error)
	waits rotate.Step // for sessions; empty: none does
}

// A lock is what rotate.Config takes.
type lock = func(ctx context.Context) (unlock func(), err error)

// users are those of one secret, seen by the database's superuser.
type users interface {
	place() place
	first() source.Credential

	// accounts are all users there are, with what they accept of the passwords.
	accounts(t *testing.T, passwords []string) []account

	// seen is what anybody could have seen since it was called last.
	seen(t *testing.T) string

	// session opens one and keeps it until end is called.
	session(t *testing.T, c source.Credential) (end func())
}

// An account is a user of the secret.
type account struct {
	name      string
	passwords []string // that it logs in with, of those known
	rights    string   // the same text means the same rights
}

var targets = slices.Concat(postgresTargets, mysqlTargets(mysqlserver.MariaDB), mysqlTargets(mysqlserver.MySQL))

var postgresTargets = []targetKind{
	{"single user", makeOne, postgresTarget(func(c *postgres.Config, _ place) (rotate.Target, error) {
		return postgres.SingleUser(c)
	}), postgresLock, ""},
	{"alternating users", makeBoth, postgresTarget(func(c *postgres.Config, p place) (rotate.Target, error) {
		return postgres.Alternating(c, p["one"], p["two"])
	}), postgresLock, rotate.StepClear},
	{"parallel role", makeOne, postgresTarget(func(c *postgres.Config, p place) (rotate.Target, error) {
		return postgres.ParallelRole(c, p["group"])
	}), postgresLock, rotate.StepDrain},
}
