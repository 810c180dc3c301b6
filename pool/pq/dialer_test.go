package pq_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	driver "github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/internal/wrapconn/wraptest"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/pq"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

func snapshot(user, password string) refresh.Snapshot {
	return refresh.Snapshot{Credential: source.Credential{Username: user, Password: source.NewSecret(password)}}
}

func open(t *testing.T, d pool.Dialer, user, password string) *pool.ManagedDB {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	r, err := refresh.New(t.Context(), source.Static(user, source.NewSecret(password)), &refresh.Options{Logger: log})
	require.NoError(t, err)
	t.Cleanup(r.Close)
	db, err := pool.OpenDB(t.Context(), d, r, &pool.Options{Logger: log})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func state(err error) string {
	var e *driver.Error
	if errors.As(err, &e) {
		return string(e.Code)
	}
	return ""
}

func TestForwardsEverything(t *testing.T) {
	db := pgtest.Database(t)
	db.CreateUser(db.Role("app"), "cAnArY")
	conn, err := open(t, pq.New(config(t, db)), db.Role("app"), "cAnArY").Conn(t.Context())
	require.NoError(t, err)
	require.NoError(t, conn.Raw(func(c any) error {
		// Exec and Query are from before there were contexts: database/sql does
		// not call them where there are the newer ones. Commit and Rollback are
		// called on what BeginTx returns.
		wraptest.Forwards(t, wraptest.Raw(t, c), c, "Exec", "Query", "Commit", "Rollback")
		require.NotContains(t, fmt.Sprintf("%v %+v %#v %s %q", c, c, c, c, c), "cAnArY")
		driver.SetNoticeHandler(wraptest.Raw(t, c), func(*driver.Error) {})
		return nil
	}))
	require.NoError(t, conn.Close())
}

func TestErrorsOfRealServers(t *testing.T) {
	db := pgtest.Database(t)
	user := db.Role("app")
	db.CreateUser(user, "secret")
	d := pq.New(config(t, db))
	verify := func() error { return d.Verify(t.Context(), snapshot(user, "secret"), nil) }
	require.NoError(t, verify())
	db.NoLogin(user)
	err := verify()
	require.Equal(t, "28000", state(err))
	require.Equal(t, pool.Rejected, d.Classify(err))
	db.Login(user)

	admin := db.Admin()
	defer admin.Close(t.Context())
	_, err = admin.Exec(t.Context(), "revoke "+pgserver.QuoteIdent(db.Group)+" from "+pgserver.QuoteIdent(user))
	require.NoError(t, err)
	err = verify()
	require.Equal(t, "42501", state(err))
	require.ErrorIs(t, err, refresh.ErrRejected, "it has no right to connect")
	require.Equal(t, pool.Unrelated, d.Classify(err))
	_, err = admin.Exec(t.Context(), "grant "+pgserver.QuoteIdent(db.Group)+" to "+pgserver.QuoteIdent(user))
	require.NoError(t, err)

	nowhere := config(t, db)
	nowhere.Database = "nowhere"
	err = pq.New(nowhere).Verify(t.Context(), snapshot(user, "secret"), nil)
	require.Equal(t, "3D000", state(err))
	require.NotErrorIs(t, err, refresh.ErrRejected)
	_, err = admin.Exec(t.Context(), "alter role "+pgserver.QuoteIdent(user)+" connection limit 0")
	require.NoError(t, err)
	err = verify()
	require.Equal(t, "53300", state(err))
	require.NotErrorIs(t, err, refresh.ErrRejected)
	require.Equal(t, pool.Unrelated, d.Classify(err))
}

func TestCheck(t *testing.T) {
	db := pgtest.Database(t)
	user := db.Role("app")
	db.CreateUser(user, "secret")
	d := pq.New(config(t, db))
	for query, unfit := range map[string]bool{
		"select 1 from orders":                          false,
		"select * from nowhere":                         true,
		"drop role postgres":                            true,
		"select pg_terminate_backend(pg_backend_pid())": false, // 57P01
		"do $$ begin raise sqlstate '40001'; end $$":    false,
	} {
		var failed error
		d.Check = func(ctx context.Context, conn *sql.Conn) error {
			_, failed = conn.ExecContext(ctx, query)
			return failed
		}
		err := d.Verify(t.Context(), snapshot(user, "secret"), nil)
		require.Equal(t, failed == nil, err == nil)
		require.Equal(t, unfit, errors.Is(err, refresh.ErrRejected), "%s: %v", query, err)
	}
	d.Check = func(context.Context, *sql.Conn) error { return errors.New("no") }
	require.ErrorIs(t, d.Verify(t.Context(), snapshot(user, "secret"), nil), refresh.ErrRejected)
	d.Check = func(context.Context, *sql.Conn) error { return context.Canceled }
	require.NotErrorIs(t, d.Verify(t.Context(), snapshot(user, "secret"), nil), refresh.ErrRejected)
}

func TestHooks(t *testing.T) {
	db := pgtest.Database(t)
	user := db.Role("app")
	db.CreateUser(user, "secret")
	c := config(t, db)
	c.User, c.Password = "nobody", "nothing"
	d := pq.New(c)
	var dials, open0 atomic.Int32
	d.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			open0.Add(1)
			conn = counted{conn, &open0}
		}
		return conn, err
	}
	seen := ""
	d.BeforeConnect = func(_ context.Context, c *driver.Config) error {
		seen = c.User + "/" + c.Password
		c.ApplicationName, c.Password = "by the hook", "mine"
		c.Runtime["work_mem"] = "77kB"
		return nil
	}
	p := open(t, d, user, "secret")
	var name, mem string
	require.NoError(t, p.QueryRowContext(t.Context(), "select current_setting('application_name'), current_setting('work_mem')").Scan(&name, &mem))
	require.Equal(t, "by the hook", name)
	require.Equal(t, "77kB", mem)
	require.Equal(t, user+"/", seen)
	require.EqualValues(t, 2, dials.Load(), "the verification's and the pool's")
	require.EqualValues(t, 1, open0.Load())
	require.Empty(t, c.Runtime, "the user's own is left alone")

	// Where a driver tries several ways, the sockets of those that failed do
	// not stay.
	d.BeforeConnect = func(_ context.Context, c *driver.Config) error {
		c.SSLMode = driver.SSLModePrefer
		c.Multi = []driver.ConfigMultihost{{Host: c.Host, Port: c.Port}}
		c.Port = 1
		return nil
	}
	p.SetMaxIdleConns(-1)
	require.Zero(t, open0.Load())
	require.NoError(t, p.PingContext(t.Context()))
	require.Error(t, d.Verify(t.Context(), snapshot(user, "wrong"), nil))
	require.Zero(t, open0.Load())
	d.BeforeConnect = func(context.Context, *driver.Config) error { return errors.New("not now") }
	require.ErrorContains(t, d.Verify(t.Context(), snapshot(user, "secret"), nil), "not now")
}

type counted struct {
	net.Conn
	open *atomic.Int32
}

func (c counted) Close() error {
	err := c.Conn.Close()
	if err == nil {
		c.open.Add(-1)
	}
	return err
}

// An empty password is not looked up elsewhere.
func TestPasswordFilesAreNotRead(t *testing.T) {
	db := pgtest.Database(t)
	user := db.Role("app")
	db.CreateUser(user, "secret")
	c := config(t, db)
	c.Passfile = filepath.Join(t.TempDir(), "pgpass")
	require.NoError(t, os.WriteFile(c.Passfile, []byte("*:*:*:*:secret\n"), 0o600))
	require.Error(t, pq.New(c).Verify(t.Context(), snapshot(user, ""), nil))
	require.NoError(t, pq.New(c).Verify(t.Context(), snapshot(user, "secret"), nil))
}

// What lib/pq itself cannot log in with, the pool cannot, and all else it can.
func TestPasswordsReachTheDriverUnchanged(t *testing.T) {
	db := pgtest.Database(t)
	user := db.Role("app")
	db.CreateUser(user, "secret")
	d := pq.New(config(t, db))
	for _, password := range []string{"ligature ﬁ", "number ①", "soft\u00adhyphen", "non\u00a0breaking", "Å of two kinds: A\u030a", "plain"} {
		db.SetPassword(user, password)
		c := config(t, db)
		c.User, c.Password = user, password
		connector, err := driver.NewConnectorConfig(c)
		require.NoError(t, err)
		conn, want := connector.Connect(t.Context())
		if want == nil {
			require.NoError(t, conn.Close())
		}
		got := d.Verify(t.Context(), snapshot(user, password), nil)
		require.Equal(t, want == nil, got == nil, "%s: %v %v", password, want, got)
	}
}

func TestLostRights(t *testing.T) {
	db := pgtest.Database(t)
	from, to := db.Role("from"), db.Role("to")
	db.CreateUser(from, "secret")
	db.CreateUser(to, "secret")
	d := pq.New(config(t, db))
	admin := db.Admin()
	defer admin.Close(t.Context())
	user := pgserver.QuoteIdent
	for _, c := range []struct {
		change string
		lost   []string
	}{
		{"select 1", []string{}},
		{"create table other (a int, b int); grant insert, select (b) on other to " + user(from), []string{
			"select (b), insert on table public.other",
		}},
		{"grant select, insert on other to " + user(to), []string{}},
		{"alter role " + user(from) + " createdb", []string{"createdb"}},
	} {
		_, err := admin.Exec(t.Context(), c.change)
		require.NoError(t, err, c.change)
		lost, err := d.LostRights(t.Context(), snapshot(from, "secret"), snapshot(to, "secret"))
		require.NoError(t, err)
		require.Equal(t, c.lost, lost, c.change)
	}
}
