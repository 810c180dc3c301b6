package pooltest

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/pool"
)

// Rotate is [Server.RotatePassword] and then [Server.RotateUser]: the two ways
// in which credentials change.
func (s *Server) Rotate(t testing.TB, pools ...pool.Reporter) {
	t.Helper()
	s.RotatePassword(t, pools...)
	s.RotateUser(t, pools...)
}

// RotatePassword gives the service's user a new password, in the database
// first and in the store second, and returns when it has [Server.Drained].
func (s *Server) RotatePassword(t testing.TB, pools ...pool.Reporter) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changePassword(t)()
	s.drained(t, pools)
}

// RotateUser gives the service a new user, puts it into the store, waits until
// it has [Server.Drained], and drops the old one.
func (s *Server) RotateUser(t testing.TB, pools ...pool.Reporter) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	name, password := s.newUser(t)
	s.store.Put(name, password)
	s.drained(t, pools)
	for i := range s.made[:len(s.made)-1] {
		s.drop(t, &s.made[i])
	}
}

// ChangePassword changes the password in the database and leaves the store
// behind: every login is rejected until publish is called. Open sessions live
// on. It is the moment in the middle of a rotation, for as long as you like.
func (s *Server) ChangePassword(t testing.TB) (publish func()) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changePassword(t)
}

func (s *Server) changePassword(t testing.TB) (publish func()) {
	t.Helper()
	u, password := &s.made[len(s.made)-1], newPassword()
	s.do(t, "alter role "+pgserver.QuoteIdent(u.name)+" password "+pgserver.QuoteLiteral(password))
	s.look(t, u)
	name := u.name
	return func() { s.store.Put(name, password) }
}

// newUser makes a user with the owner's rights.
func (s *Server) newUser(t testing.TB) (name, password string) {
	t.Helper()
	u := user{name: s.prefix + "app" + strconv.Itoa(len(s.made)+1)}
	password = newPassword()
	s.do(t, "create role "+pgserver.QuoteIdent(u.name)+" login password "+pgserver.QuoteLiteral(password)+
		" in role "+pgserver.QuoteIdent(s.owner))
	s.made = append(s.made, u)
	s.look(t, &s.made[len(s.made)-1])
	return u.name, password
}

// look notes a user's number and the server's time. Every session that began
// before has logged in with an older password, and every one that begins after
// the store has the new password cannot have.
func (s *Server) look(t testing.TB, u *user) {
	t.Helper()
	s.query(t, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "select oid, clock_timestamp() from pg_roles where rolname = $1", u.name).Scan(&u.oid, &u.since)
	})
}

func (s *Server) drop(t testing.TB, u *user) {
	t.Helper()
	if u.gone {
		return
	}
	ctx, cancel := bounded(t)
	defer cancel()
	err := s.here(ctx, "drop role "+pgserver.QuoteIdent(u.name))
	var pg *pgconn.PgError
	switch {
	case err == nil:
		u.gone = true
	case errors.As(err, &pg) && pg.Code == "2BP01": // dependent objects still exist
		t.Fatalf("pooltest: the old user cannot be dropped, because the service has made objects as its user (%s); "+
			"make them as the owner: with Exec, through OwnerDSN, or after SET ROLE %s", pg.Detail, pgserver.QuoteIdent(s.owner))
	default:
		t.Fatalf("pooltest: dropping the old user: %v", err)
	}
}

// newPassword returns a password that no two rotations share, with the
// characters that break connection strings made by hand.
func newPassword() string { return rand.Text() + ` '"\@:/?#[]%&=+$` }

// firstUser makes the first user and the store that holds it.
func (s *Server) firstUser(t testing.TB) {
	t.Helper()
	s.store = NewStore(s.newUser(t))
}
