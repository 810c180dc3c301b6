package wrapconn_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/wrapconn"
	"github.com/rekey-go/rekey/internal/wrapconn/wraptest"
)

const (
	patience = 30 * time.Second
	tick     = 2 * time.Millisecond
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Whatever a driver has, database/sql calls the same of it with and without
// the wrapper.
func TestBehavesLikeTheBareConnection(t *testing.T) {
	kinds := map[string]func() (driver.Conn, *plain){
		"plain": func() (driver.Conn, *plain) { c := new(plain); return c, c },
		"old":   func() (driver.Conn, *plain) { c := new(old); return c, &c.plain },
		"modern": func() (driver.Conn, *plain) {
			c := &modern{valid: true}
			return c, &c.plain
		},
		"only queries": func() (driver.Conn, *plain) {
			c := new(modern)
			return struct {
				*plain
				driver.QueryerContext
			}{&c.plain, c}, &c.plain
		},
		"only executes": func() (driver.Conn, *plain) {
			c := new(modern)
			return struct {
				*plain
				driver.ExecerContext
			}{&c.plain, c}, &c.plain
		},
		"statement with everything": func() (driver.Conn, *plain) {
			c := new(plain)
			c.stmt = &checkedStmt{plainStmt{c}}
			return c, c
		},
		"statement with a checker": func() (driver.Conn, *plain) {
			c := new(plain)
			c.stmt = struct {
				*plainStmt
				driver.NamedValueChecker
			}{&plainStmt{c}, &checkedStmt{plainStmt{c}}}
			return c, c
		},
		"statement with a converter": func() (driver.Conn, *plain) {
			c := new(plain)
			c.stmt = struct {
				*plainStmt
				converter
			}{&plainStmt{c}, converter{}}
			return c, c
		},
	}
	for name, make := range kinds {
		for _, fails := range []error{nil, errDenied, driver.ErrSkip} {
			t.Run(fmt.Sprint(name, fails), func(t *testing.T) {
				bare, wantCalls := make()
				inner, gotCalls := make()
				wantCalls.err, gotCalls.err = fails, fails
				want := use(t, bare)
				got := use(t, wrapconn.New(inner, &session{}, isDenied))
				require.Equal(t, want, got)
				require.Equal(t, wantCalls.calls, gotCalls.calls)
			})
		}
	}
}

type converter struct{}

func (converter) ColumnConverter(int) driver.ValueConverter { return driver.Bool }

// use does everything that database/sql can and says what came of it.
func use(t *testing.T, conn driver.Conn) (said []string) {
	t.Helper()
	db := open(conn)
	db.SetMaxOpenConns(1)
	say := func(what string, v any, err error) { said = append(said, fmt.Sprint(what, " ", v, " ", err)) }
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	say("ping", nil, db.PingContext(ctx))
	for _, args := range [][]any{nil, {1}, {true, "x"}, {sql.Named("n", 1)}, {struct{}{}}} {
		r, err := db.ExecContext(ctx, "exec", args...)
		n := int64(-1)
		if err == nil {
			n, _ = r.RowsAffected()
		}
		say("exec", n, err)
		rows, err := db.QueryContext(ctx, "query", args...)
		say("query", rows != nil, err)
		if rows != nil {
			say("rows", rows.Next(), rows.Close())
		}
	}
	s, err := db.PrepareContext(ctx, "prepare")
	say("prepare", s != nil, err)
	if s != nil {
		_, err = s.ExecContext(ctx, 1)
		say("stmt exec", nil, err)
		rows, err := s.QueryContext(ctx, true)
		say("stmt query", rows != nil, err)
		if rows != nil {
			say("rows", nil, rows.Close())
		}
		say("stmt close", nil, s.Close())
	}
	for _, o := range []*sql.TxOptions{nil, {ReadOnly: true}, {Isolation: sql.LevelSerializable}} {
		tx, err := db.BeginTx(ctx, o)
		say("begin", tx != nil, err)
		if tx != nil {
			say("commit", nil, tx.Commit())
		}
	}
	say("open", db.Stats().OpenConnections, nil)
	_ = db.Close() // its error is among the calls
	return said
}

func TestChecks(t *testing.T) {
	s := &session{}
	inner := &modern{valid: true}
	c := wrapconn.New(inner, s, isDenied)
	reset := func() error { return c.(driver.SessionResetter).ResetSession(t.Context()) }
	valid := func() bool { return c.(driver.Validator).IsValid() }
	require.NoError(t, reset())
	require.True(t, valid())
	s.check = driver.ErrBadConn
	require.ErrorIs(t, reset(), driver.ErrBadConn)
	require.False(t, valid())
	require.Equal(t, []string{"ResetSession"}, inner.calls, "a connection that leaves is not asked")
	s.check = nil
	inner.valid = false
	require.False(t, valid())
	inner.valid, inner.err = true, errors.New("broken")
	require.ErrorIs(t, reset(), inner.err)
	require.Same(t, inner, wraptest.Raw(t, c))
	require.Equal(t, "*wrapconn_test.modern of the pool", fmt.Sprintf("%+v", c))

	_ = c.Close() // it has failed
	_, closed := s.told()
	require.Equal(t, 1, closed)
}

func TestTellsRightsErrors(t *testing.T) {
	for _, inner := range []driver.Conn{&plain{err: errDenied}, &old{plain{err: errDenied}}, &modern{plain: plain{err: errDenied}, valid: true}} {
		s := &session{}
		use(t, wrapconn.New(inner, s, isDenied))
		denied, _ := s.told()
		require.NotEmpty(t, denied)
		for _, err := range denied {
			require.ErrorIs(t, err, errDenied)
		}
	}
	// And those of prepared statements.
	s, inner := &session{}, new(plain)
	db := open(wrapconn.New(inner, s, isDenied))
	defer func() { _ = db.Close() }() // nothing depends on it
	stmt, err := db.PrepareContext(t.Context(), "x")
	require.NoError(t, err)
	inner.err = errDenied
	_, err = stmt.ExecContext(t.Context())
	require.ErrorIs(t, err, errDenied)
	_, err = stmt.QueryContext(t.Context()) //nolint:rowserrcheck // there are none
	require.ErrorIs(t, err, errDenied)
	denied, _ := s.told()
	require.Len(t, denied, 2)
	inner.err = errors.New("another")
	_, err = stmt.ExecContext(t.Context())
	require.Error(t, err)
	denied, _ = s.told()
	require.Len(t, denied, 2)
}

// database/sql throws the connection of a driver that cannot tell whether it is
// good away, when it has to roll back by itself.
func TestRollbackByForceSpoilsConnectionsThatCannotTell(t *testing.T) {
	for _, c := range []struct {
		inner driver.Conn
		stays bool
	}{{new(plain), false}, {&modern{valid: true}, true}} {
		db := open(wrapconn.New(c.inner, &session{}, isDenied))
		ctx, cancel := context.WithCancel(t.Context())
		tx, err := db.BeginTx(ctx, nil)
		require.NoError(t, err)
		require.NoError(t, tx.Rollback())
		require.Equal(t, 1, db.Stats().OpenConnections, "by will")
		tx, err = db.BeginTx(ctx, nil)
		require.NoError(t, err)
		cancel()
		require.Eventually(t, func() bool { return errors.Is(tx.Commit(), sql.ErrTxDone) && db.Stats().InUse == 0 }, patience, tick)
		require.Equal(t, c.stays, db.Stats().OpenConnections == 1)
		require.NoError(t, db.Close())
	}
}

// A version of Go with a new optional interface for connections or statements
// must be looked at here: forward it and add its name.
func TestKnowsAllOptionalInterfaces(t *testing.T) {
	known := map[string]bool{
		// Of connections and statements: forwarded.
		"Conn": true, "Pinger": true, "Execer": true, "ExecerContext": true, "Queryer": true, "QueryerContext": true,
		"ConnPrepareContext": true, "ConnBeginTx": true, "SessionResetter": true, "Validator": true, "NamedValueChecker": true,
		"Stmt": true, "StmtExecContext": true, "StmtQueryContext": true, "ColumnConverter": true,
		// Of what they return: the driver's own.
		"Tx": true, "Result": true, "Rows": true, "RowsNextResultSet": true, "RowsColumnTypeScanType": true, "RowsColumnScanner": true,
		"RowsColumnTypeDatabaseTypeName": true, "RowsColumnTypeLength": true, "RowsColumnTypeNullable": true, "RowsColumnTypePrecisionScale": true,
		// Of other things.
		"Driver": true, "DriverContext": true, "Connector": true, "Valuer": true, "ValueConverter": true, "Value": true,
	}
	pkg, err := importer.ForCompiler(token.NewFileSet(), "source", nil).Import("database/sql/driver")
	require.NoError(t, err)
	for _, name := range pkg.Scope().Names() {
		o, isType := pkg.Scope().Lookup(name).(*types.TypeName)
		if isType && o.Exported() && types.IsInterface(o.Type()) {
			require.True(t, known[name], "database/sql/driver.%s is new", name)
		}
	}
}

func TestSocketTellsItsEndOnce(t *testing.T) {
	client, server := net.Pipe()
	defer server.Close()
	conn, s := wrapconn.Watch(client)
	n := 0
	s.OnClose(func() { n++ })
	require.NoError(t, conn.Close())
	_ = conn.Close() // closing twice is harmless
	require.Equal(t, 1, n)

	client, server = net.Pipe()
	defer server.Close()
	conn, s = wrapconn.Watch(client)
	require.NoError(t, conn.Close())
	s.OnClose(func() { n++ })
	require.Equal(t, 2, n, "closed before anybody asked")
}
