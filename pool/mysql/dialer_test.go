package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/mysqlserver"
	"github.com/rekey-go/rekey/internal/mysqlserver/mysqltest"
	"github.com/rekey-go/rekey/internal/wrapconn/wraptest"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/mysql"
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

func errno(err error) int {
	var e *driver.MySQLError
	if errors.As(err, &e) {
		return int(e.Number)
	}
	return 0
}

func TestRejectionsOfRealServers(t *testing.T) {
	onEach(t, func(t *testing.T, db *mysqltest.DB) {
		d, user := dialer(t, db.Config()), db.Role("app")
		db.CreateUser(user, "secret")
		verify := func() error { return d.Verify(t.Context(), snapshot(user, "secret"), nil) }
		require.NoError(t, verify())

		db.Alter(user, "account lock")
		err := verify()
		require.Equal(t, map[mysqlserver.Product]int{mysqlserver.MariaDB: 4151, mysqlserver.MySQL: 3118}[db.Server.Product()], errno(err))
		require.Equal(t, pool.Rejected, d.Classify(err))
		db.Alter(user, "account unlock")

		db.Alter(user, "password expire")
		err = verify()
		require.Equal(t, map[mysqlserver.Product]int{mysqlserver.MariaDB: 1820, mysqlserver.MySQL: 1862}[db.Server.Product()], errno(err))
		require.Equal(t, pool.Rejected, d.Classify(err))
		db.SetPassword(user, "secret")
		require.NoError(t, verify())

		db.Exec("revoke select, insert, update, delete on " + db.Table() + " from " + mysqlserver.QuoteLiteral(user))
		err = verify()
		require.Equal(t, 1044, errno(err))
		require.ErrorIs(t, err, refresh.ErrRejected, "it has no right to the database")
		require.Equal(t, pool.Unrelated, d.Classify(err), "as a login it says nothing about the password")

		nowhere := db.Config()
		nowhere.DBName = "nowhere_" + db.Name
		db.Exec("grant select on " + mysqlserver.QuoteIdent(nowhere.DBName) + ".* to " + mysqlserver.QuoteLiteral(user))
		err = dialer(t, nowhere).Verify(t.Context(), snapshot(user, "secret"), nil)
		require.Equal(t, 1049, errno(err))
		require.NotErrorIs(t, err, refresh.ErrRejected)
	})
}

// A password that expires after its verification is found at the next login.
func TestExpiredPasswordIsARejectedLogin(t *testing.T) {
	onEach(t, func(t *testing.T, db *mysqltest.DB) {
		user := db.Role("app")
		db.CreateUser(user, "secret")
		p := open(t, dialer(t, db.Config()), user, "secret")
		db.Alter(user, "password expire")
		p.SetMaxIdleConns(-1)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		require.Error(t, p.PingContext(ctx))
		require.NotZero(t, p.Health().LoginsRejected)
		require.Eventually(t, func() bool { return db.Sessions(user) == 0 }, 10*time.Second, 2*time.Millisecond)
	})
}

func TestTooManyLoginsSayNothingAboutTheCredential(t *testing.T) {
	onEach(t, func(t *testing.T, db *mysqltest.DB) {
		d, user := dialer(t, db.Config()), db.Role("app")
		db.CreateUser(user, "secret")
		db.Alter(user, "with max_user_connections 1")
		p := open(t, d, user, "secret")
		require.NoError(t, p.PingContext(t.Context()))
		err := d.Verify(t.Context(), snapshot(user, "secret"), nil)
		require.Equal(t, 1226, errno(err))
		require.NotErrorIs(t, err, refresh.ErrRejected)
		require.Equal(t, pool.Unrelated, d.Classify(err))
	})
}

func TestCheck(t *testing.T) {
	onEach(t, func(t *testing.T, db *mysqltest.DB) {
		d, user := dialer(t, db.Config()), db.Role("app")
		db.CreateUser(user, "secret")
		var check func(context.Context, *sql.Conn) error
		d.Check = func(ctx context.Context, conn *sql.Conn) error { return check(ctx, conn) }
		exec := func(query string) func(context.Context, *sql.Conn) error {
			return func(ctx context.Context, conn *sql.Conn) error {
				_, err := conn.ExecContext(ctx, query)
				return err
			}
		}
		for _, c := range []struct {
			name   string
			check  func(context.Context, *sql.Conn) error
			ok     bool
			unfit  bool
			number int
		}{
			{name: "good", check: exec("insert into orders(item) values ('x')"), ok: true},
			{name: "rights", check: exec("drop table orders"), unfit: true, number: 1142},
			{name: "the user's own", check: func(context.Context, *sql.Conn) error { return errors.New("no") }, unfit: true},
			{name: "no such table", check: exec("select * from nowhere"), unfit: true, number: 1142},
			{name: "context", check: func(context.Context, *sql.Conn) error { return context.DeadlineExceeded }},
			{name: "killed", check: exec("kill connection_id()"), number: map[mysqlserver.Product]int{mysqlserver.MariaDB: 1927, mysqlserver.MySQL: 1317}[db.Server.Product()]},
		} {
			check = c.check
			err := d.Verify(t.Context(), snapshot(user, "secret"), nil)
			require.Equal(t, c.ok, err == nil, "%s: %v", c.name, err)
			require.Equal(t, c.unfit, errors.Is(err, refresh.ErrRejected), "%s: %v", c.name, err)
			require.Equal(t, c.number, errno(err), c.name)
		}
	})
}

func TestForwardsEverything(t *testing.T) {
	db := mysqltest.Database(t, mysqlserver.MariaDB)
	db.CreateUser(db.Role("app"), "cAnArY")
	conn, err := open(t, dialer(t, db.Config()), db.Role("app"), "cAnArY").Conn(t.Context())
	require.NoError(t, err)
	require.NoError(t, conn.Raw(func(c any) error {
		bare := wraptest.Raw(t, c)
		// Exec and Query are from before there were contexts: database/sql
		// does not call them where there are the newer ones.
		wraptest.Forwards(t, bare, c, "Exec", "Query")
		require.NotContains(t, fmt.Sprintf("%v %+v %#v %s %q", bare, bare, bare, bare, bare), "cAnArY", "the password is wiped")
		return nil
	}))
	require.NoError(t, conn.Close())
}

func TestHooks(t *testing.T) {
	db := mysqltest.Database(t, mysqlserver.MariaDB)
	user := db.Role("app")
	db.CreateUser(user, "secret")
	config := db.Config()
	require.NoError(t, config.Apply(driver.BeforeConnect(func(context.Context, *driver.Config) error { return nil })))
	_, err := mysql.New(config)
	require.ErrorContains(t, err, "BeforeConnect")

	config = db.Config()
	config.User, config.Passwd = "nobody", "nothing"
	dials := 0
	config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials++
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	d := dialer(t, config)
	seen := ""
	d.BeforeConnect = func(_ context.Context, c *driver.Config) error {
		seen = c.User + "/" + c.Passwd
		c.Params = map[string]string{"max_statement_time": "7"}
		c.Passwd = "mine"
		return nil
	}
	p := open(t, d, user, "secret")
	var got float64
	require.NoError(t, p.QueryRowContext(t.Context(), "select @@max_statement_time").Scan(&got))
	require.Equal(t, 7.0, got)
	require.Equal(t, user+"/", seen)
	require.Equal(t, 2, dials, "the verification's and the pool's")
	require.Equal(t, "nobody", config.User, "the user's own is left alone")
	require.Nil(t, config.Params)
	d.BeforeConnect = func(context.Context, *driver.Config) error { return errors.New("not now") }
	require.ErrorContains(t, d.Verify(t.Context(), snapshot(user, "secret"), nil), "not now")
}

// The password of the configuration's user comes from the source, too.
func TestUserOfTheConfiguration(t *testing.T) {
	db := mysqltest.Database(t, mysqlserver.MariaDB)
	db.CreateUser(db.Role("app"), "secret")
	config := db.Config()
	config.User, config.Passwd = db.Role("app"), "of old"
	require.NoError(t, open(t, dialer(t, config), "", "secret").PingContext(t.Context()))
}

// A network that only the driver knows is dialed by it.
func TestRegisteredNetwork(t *testing.T) {
	db := mysqltest.Database(t, mysqlserver.MariaDB)
	user := db.Role("app")
	db.CreateUser(user, "secret")
	config := db.Config()
	driver.RegisterDialContext(db.Name, func(ctx context.Context, addr string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	})
	defer driver.DeregisterDialContext(db.Name)
	config.Net = db.Name
	p := open(t, dialer(t, config), user, "secret")
	require.NoError(t, p.PingContext(t.Context()))
	require.Equal(t, map[uint64]int{1: 1}, p.Health().Connections)
	p.SetMaxIdleConns(-1)
	require.Empty(t, p.Health().Connections)
}

// MariaDB's other way to log in, and both of two passwords at once.
func TestOtherWaysToLogIn(t *testing.T) {
	db := mysqltest.Database(t, mysqlserver.MariaDB)
	d, user := dialer(t, db.Config()), db.Role("app")
	db.CreateUser(user, "first")
	db.Alter(user, "identified via ed25519 using password('second')")
	require.Equal(t, pool.Rejected, d.Classify(d.Verify(t.Context(), snapshot(user, "first"), nil)))
	require.NoError(t, d.Verify(t.Context(), snapshot(user, "second"), nil))
	db.Alter(user, "identified via mysql_native_password using password('first') or mysql_native_password using password('third')")
	require.NoError(t, d.Verify(t.Context(), snapshot(user, "first"), nil))
	require.NoError(t, d.Verify(t.Context(), snapshot(user, "third"), nil))
	require.Equal(t, pool.Rejected, d.Classify(d.Verify(t.Context(), snapshot(user, "second"), nil)))
	lost, err := d.LostRights(t.Context(), snapshot(user, "first"), snapshot(user, "third"))
	require.NoError(t, err)
	require.Empty(t, lost)

	nine := mysqltest.Database(t, mysqlserver.MySQL)
	d, user = dialer(t, nine.Config()), nine.Role("app")
	nine.CreateUser(user, "first")
	nine.Alter(user, "identified by 'second' retain current password")
	require.NoError(t, d.Verify(t.Context(), snapshot(user, "first"), nil))
	require.NoError(t, d.Verify(t.Context(), snapshot(user, "second"), nil))
	nine.Alter(user, "discard old password")
	require.Equal(t, pool.Rejected, d.Classify(d.Verify(t.Context(), snapshot(user, "first"), nil)))
}
