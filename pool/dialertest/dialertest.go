// Package dialertest holds any [pool.Dialer] against the rules of its interface,
// on a real server. Import it from tests only.
//
//	func TestConformance(t *testing.T) {
//		dialertest.Run(t, func(t *testing.T) dialertest.Harness {
//			db := newDatabase(t) // yours, with the table orders
//			return dialertest.Harness{Dialer: db.Dialer(), CreateUser: db.CreateUser, SetPassword: db.SetPassword /* … */}
//		})
//	}
package dialertest

import (
	"testing"

	"github.com/rekey-go/rekey/pool"
)

// A Harness is one dialer with a database of its own and the hands of that
// database's administrator. The database has a table
// orders(id, item text, qty int), whose id is given by the server. The functions
// may be called from several goroutines and fail the test when they cannot do
// what they are asked for.
type Harness struct {
	// Dialer to test, for the database. No user and no password is set in it.
	Dialer pool.Dialer

	// Address of the server, as host:port, and At, which makes a dialer that
	// reaches it at another address. Both addresses are of this machine.
	Address string
	At      func(address string) pool.Dialer

	// User returns a name that no other test uses, made of base as far as the
	// server's rules for names allow.
	User func(base string) string

	// Password makes a text one that the server and the driver take as a
	// password, whoever uses them: not too long, for one. Nil: all are.
	Password func(text string) string

	// CreateUser creates a user who may log in, and select, insert, update and
	// delete in orders. SetPassword and DropUser leave open sessions alone.
	CreateUser  func(user, password string)
	SetPassword func(user, password string)
	DropUser    func(user string)

	// Revoke takes the right to insert into orders from a user.
	Revoke func(user string)

	// Sessions counts the open sessions of a user, and EndSessions has the
	// server end them and says how many there were.
	Sessions    func(user string) int
	EndSessions func(user string) int

	// SQL is what differs between servers.
	SQL SQL
}

// SQL are statements in the server's language.
type SQL struct {
	Insert string // into orders; two parameters, item and qty
	Select string // the qty of an item, its one parameter
	Update string // sets qty of an item; two parameters, qty and item
	User   string // the name of the session's user
	Sleep  string // for ten seconds

	// NoLastInsertID says that the driver has no LastInsertId.
	NoLastInsertID bool
}

// Run checks that the dialers which open makes keep the rules of [pool.Dialer]
// and, where they implement them, of [pool.Prober] and [pool.RightsComparer].
// open is called once for each check and cleans up by t.Cleanup. Run it with
// the race detector on.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	t.Helper()
	checks := []struct {
		name  string
		check func(*testing.T, *bench)
	}{
		{"DatabaseSQL", checkDatabaseSQL},
		{"RotationsFailNoStatement", checkRotations},
		{"OneSnapshot", checkOneSnapshot},
		{"RejectedLogin", checkRejectedLogin},
		{"UnfitCredential", checkUnfitCredential},
		{"Drained", checkDrained},
		{"Deadline", checkDeadline},
		{"EndedSessions", checkEndedSessions},
		{"Canceled", checkCanceled},
		{"SilentServer", checkSilentServer},
		{"Classify", checkClassify},
		{"OddPasswords", checkOddPasswords},
		{"OddUsers", checkOddUsers},
		{"Probe", checkProbe},
		{"LostRights", checkLostRights},
		{"NoSecret", checkNoSecret},
		{"NothingLeft", checkNothingLeft},
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) { c.check(t, newBench(t, open(t))) })
	}
}
