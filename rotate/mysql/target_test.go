package mysql_test

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"testing"
	"time"

	my "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/mysqlserver"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/mysql"
	"github.com/rekey-go/rekey/source"
)

// target is one with the first user's next change.
func (h *house) target(open func(*mysql.Config) (rotate.Target, error), adjust ...func(*mysql.Config)) (rotate.Target, rotate.Change) {
	h.t.Helper()
	config, _ := h.config()
	for _, a := range adjust {
		a(config)
	}
	target, err := open(config)
	require.NoError(h.t, err)
	return target, h.next(target, h.first, "one")
}

// next is the change that follows from.
func (h *house) next(target rotate.Target, from source.Credential, token string) rotate.Change {
	h.t.Helper()
	to, err := target.Next(h.t.Context(), from, token)
	require.NoError(h.t, err)
	to.Password, to.Version = source.NewSecret("next-"+token), token
	return rotate.Change{Token: token, From: from, To: to}
}

func state(c source.Credential) rotate.State {
	return rotate.State{Current: rotate.Version{Token: c.Version, Credential: c}}
}

func discard(t *testing.T, target rotate.Target, current source.Credential) {
	t.Helper()
	require.NoError(t, target.(rotate.Discarder).Discard(t.Context(), state(current)))
}

// value asks as superuser.
func (h *house) value(query string) (v string) {
	h.t.Helper()
	require.NoError(h.t, h.db.Server.Do(func(db *sql.DB) error { return db.QueryRowContext(h.t.Context(), query).Scan(&v) }))
	return v
}

// oddNames are parts of names, which have at most 32 characters with the rest.
var oddNames = []string{"`; drop user x; --", `'o''neil "`, `\`, ` bla nk `, `UPPER`, `größe €`, "[%s] {$1}", "\n", `{"a": 1}`, "user@host"}

func TestOddNames(t *testing.T) {
	for _, product := range products {
		for i, odd := range oddNames {
			t.Run(fmt.Sprintf("%s/%q", product, odd), func(t *testing.T) {
				t.Parallel()
				h := newHouse(t, product, odd)
				h.mode = []string{"ANSI_QUOTES", "NO_BACKSLASH_ESCAPES,ANSI_QUOTES", "STRICT_TRANS_TABLES"}[i%3]
				for _, s := range strategies {
					target, c := h.target(s.open(h))
					c.Token, c.To.Version = s.name+" "+odd, s.name+" "+odd
					require.NoError(t, target.Set(t.Context(), c))
					require.NoError(t, target.Verify(t.Context(), c))
					applied, err := target.Applied(t.Context(), c)
					require.NoError(t, err)
					require.True(t, applied)
					require.NoError(t, target.Undo(t.Context(), c))
					require.True(t, accepts(t, target, h.first))
					require.False(t, accepts(t, target, c.To))
					n, err := target.Sessions(t.Context(), h.other)
					require.NoError(t, err)
					require.Zero(t, n)
				}
			})
		}
	}
}

func TestAttributesOfPeopleStay(t *testing.T) {
	t.Parallel()
	h := newHouse(t, mysqlserver.MySQL, "")
	h.do(`alter user %s attribute '{"team": ["a", {"b": null}], "rekeyed": "größe"}'`, h.first.Username)
	attribute := func(path string) string {
		return h.value("select coalesce(json_extract(attribute, '" + path + "'), 'none') from information_schema.user_attributes where user = " + mysqlserver.QuoteLiteral(h.first.Username))
	}
	before := attribute("$")
	target, c := h.target(mysql.DualPassword)
	check := func(token string) {
		t.Helper()
		require.Equal(t, token, attribute("$.rekey.token"))
		require.Equal(t, before, h.value("select json_remove(attribute, '$.rekey') from information_schema.user_attributes where user = "+mysqlserver.QuoteLiteral(h.first.Username)))
	}
	require.NoError(t, target.Set(t.Context(), c))
	check(`"one"`)
	require.NoError(t, target.Undo(t.Context(), c))
	check(`"first"`)
	require.Equal(t, `["one"]`, attribute("$.rekey.spent"))
	c = h.next(target, h.first, "two")
	require.NoError(t, target.Set(t.Context(), c))
	discard(t, target, c.To)
	check(`"two"`)
}

func TestSessionsFromBefore(t *testing.T) {
	on(t, func(t *testing.T, h *house) {
		if h.db.Server.Product() == mysqlserver.MySQL {
			h.do("grant connection_admin on *.* to %s", h.rotatorUser)
		} else {
			h.do("grant connection admin on *.* to %s", h.rotatorUser)
		}
		target, c := h.target(mysql.DualPassword)
		sessions := func(want int) {
			t.Helper()
			require.Eventually(t, func() bool { // one that is closed may be seen for a while
				n, err := target.Sessions(t.Context(), h.first.Username)
				require.NoError(t, err)
				return n == want
			}, 10*time.Second, 5*time.Millisecond)
		}
		old := h.open(h.first)
		sessions(0)
		require.NoError(t, target.Set(t.Context(), c))
		sessions(1)
		young := h.open(c.To)
		behind := h.open(h.first) // nobody can tell
		require.NoError(t, target.Set(t.Context(), c))
		sessions(1)
		uses, err := target.(rotate.Observer).Uses(t.Context(), h.first.Username)
		require.NoError(t, err)
		require.Equal(t, []rotate.Use{{Client: "127.0.0.1", Sessions: 3, Old: 1}}, uses)

		h.remark(`'$.at', '2001-01-01T00:00:00Z'`) // the server has been started since
		sessions(0)
		h.remark(`'$.server', 'elsewhere:3306'`) // another server has taken over
		sessions(3)
		require.NoError(t, behind.Close())
		sessions(2)

		h.remark(`'$.server', '` + h.value("select concat(@@hostname, ':', @@port)") + `', '$.at', '2999-01-01T00:00:00Z'`)
		n, err := target.(rotate.Ender).End(t.Context(), h.first.Username)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		sessions(0)
		require.Error(t, old.PingContext(t.Context()))
		require.NoError(t, young.PingContext(t.Context()))

		all, _ := h.target(func(c *mysql.Config) (rotate.Target, error) { return mysql.Alternating(c, h.first.Username, h.other) })
		n, err = all.Sessions(t.Context(), h.first.Username)
		require.NoError(t, err)
		require.Equal(t, 1, n, "of users that take turns all count")
	})
}

// A session of after set may have either password: it is not behind, and it is
// ended where the older one must not be in use any more.
func TestSessionsUntilDiscard(t *testing.T) {
	on(t, func(t *testing.T, h *house) {
		h.do(map[mysqlserver.Product]string{mysqlserver.MySQL: "grant connection_admin on *.* to %s", mysqlserver.MariaDB: "grant connection admin on *.* to %s"}[h.db.Server.Product()], h.rotatorUser)
		target, c := h.target(mysql.DualPassword)
		end := func(want int) {
			t.Helper()
			n, err := target.(rotate.Ender).End(t.Context(), h.first.Username)
			require.NoError(t, err)
			require.Equal(t, want, n)
		}
		require.NoError(t, target.Set(t.Context(), c))
		between := h.open(h.first)
		end(0)
		discard(t, target, c.To)
		after := h.open(c.To)
		n, err := target.Sessions(t.Context(), h.first.Username)
		require.NoError(t, err)
		require.Zero(t, n)
		end(1)
		require.Error(t, between.PingContext(t.Context()))
		require.NoError(t, after.PingContext(t.Context()))
	})
}

// remark changes the mark of the first user.
func (h *house) remark(set string) {
	h.t.Helper()
	if h.db.Server.Product() == mysqlserver.MariaDB {
		account, err := mysql.Account(h.first.Username, "%")
		require.NoError(h.t, err)
		h.db.Exec("update rekey.rotation set mark = json_set(mark, " + set + ") where account = " + mysqlserver.QuoteLiteral(account))
		return
	}
	merged := h.value("select json_object('rekey', json_set(json_extract(attribute, '$.rekey'), " + set + ")) from information_schema.user_attributes where user = " + mysqlserver.QuoteLiteral(h.first.Username))
	h.do("alter user %s attribute "+mysqlserver.QuoteLiteral(merged), h.first.Username)
}

func TestMissingPrivileges(t *testing.T) {
	on(t, func(t *testing.T, h *house) {
		target, c := h.target(mysql.DualPassword)
		require.NoError(t, target.Set(t.Context(), c))
		lacks := func(want string, f func() error) {
			t.Helper()
			var e *mysql.PrivilegeError
			err := f()
			require.ErrorAs(t, err, &e)
			require.Contains(t, e.Privilege, want)
			require.NotErrorIs(t, err, rotate.ErrConflict)
			require.NotErrorIs(t, err, rotate.ErrUnfit)
		}
		sessions := func() error { _, err := target.Sessions(t.Context(), h.first.Username); return err }
		undo := func() error { return target.Undo(t.Context(), c) }
		old := h.open(h.first)
		h.remark(`'$.last', 1000000000`)
		lacks("CONNECTION", func() error { _, err := target.(rotate.Ender).End(t.Context(), h.first.Username); return err })
		require.NoError(t, old.PingContext(t.Context()))
		h.do("revoke process on *.* from %s", h.rotatorUser)
		lacks("PROCESS", sessions)
		lacks("PROCESS", func() error { _, err := target.(rotate.Observer).Uses(t.Context(), h.first.Username); return err })
		h.do("grant process on *.* to %s", h.rotatorUser)
		h.do("revoke create user on *.* from %s", h.rotatorUser)
		lacks("CREATE USER", undo)
		if h.db.Server.Product() == mysqlserver.MySQL {
			return
		}
		h.do("grant create user on *.* to %s", h.rotatorUser)
		h.do("revoke create, select, insert, update on rekey.* from %s", h.rotatorUser)
		lacks("SELECT, INSERT, UPDATE ON `rekey`.*", undo)
		lacks("ON `rekey`.*", func() error { _, err := target.Applied(t.Context(), c); return err })
		h.do("grant select on rekey.* to %s", h.rotatorUser)
		lacks("ON `rekey`.*", undo)

		// The table is made where it is missing, the database is not.
		other := h.db.Role("marks")
		h.do("grant create, select, insert, update on " + mysqlserver.QuoteIdent(other) + ".* to " + mysqlserver.QuoteLiteral(h.rotatorUser))
		target, c = h.target(mysql.SingleUser, func(c *mysql.Config) { c.Database = other })
		require.ErrorContains(t, target.Set(t.Context(), c), "CREATE DATABASE")
		h.do("create database " + mysqlserver.QuoteIdent(other))
		defer h.do("drop database " + mysqlserver.QuoteIdent(other))
		require.NoError(t, target.Set(t.Context(), c))
	})
}

func TestAccountsThatDoNotLogIn(t *testing.T) {
	on(t, func(t *testing.T, h *house) {
		target, c := h.target(mysql.SingleUser)
		require.NoError(t, target.Set(t.Context(), c))
		for _, way := range []struct{ off, on, want string }{
			{"account lock", "account unlock", "is locked"},
			{"password expire", "password expire never" + h.identified("next-one"), "expired"},
			{h.identified("by hand"), h.identified("next-one"), "does not log in with this password"},
		} {
			h.do("alter user %s "+way.off, c.To.Username)
			require.False(t, accepts(t, target, c.To), way.want)
			err := target.Verify(t.Context(), c)
			require.ErrorIs(t, err, rotate.ErrUnfit)
			var account *mysql.AccountError
			require.ErrorAs(t, err, &account)
			require.Contains(t, account.Problem, way.want)
			if way.want == "expired" { // MariaDB takes one clause after the other
				h.do("alter user %s"+h.identified("next-one"), c.To.Username)
				h.do("alter user %s password expire never", c.To.Username)
			} else {
				h.do("alter user %s "+way.on, c.To.Username)
			}
			require.NoError(t, target.Verify(t.Context(), c), way.want)
		}

		config, _ := h.config()
		config.Host = "10.0.0.%"
		elsewhere, err := mysql.SingleUser(config)
		require.NoError(t, err)
		var account *mysql.AccountError
		require.ErrorAs(t, elsewhere.Set(t.Context(), h.next(elsewhere, c.To, "two")), &account)
		require.Contains(t, account.Problem, "does not exist")
		applied, err := elsewhere.Applied(t.Context(), h.next(elsewhere, c.To, "two"))
		require.NoError(t, err)
		require.False(t, applied)
	})
}

// People may have made the current password the older of two.
func TestCurrentPasswordIsNotTheOneThatIsEvicted(t *testing.T) {
	t.Parallel()
	h := newHouse(t, mysqlserver.MySQL, "")
	h.do("alter user %s"+h.identified("by hand")+" retain current password", h.first.Username)
	target, c := h.target(mysql.DualPassword)
	require.True(t, accepts(t, target, h.first))
	require.NoError(t, target.Set(t.Context(), c))
	require.True(t, accepts(t, target, h.first))
	require.True(t, accepts(t, target, c.To))
	h.do("alter user %s"+h.identified("by hand")+" retain current password", h.first.Username)
	discard(t, target, c.To)
	require.True(t, accepts(t, target, c.To))
	require.False(t, accepts(t, target, h.first))
}

func TestUsersThatTakeTurnsHaveEqualRights(t *testing.T) {
	on(t, func(t *testing.T, h *house) {
		target, c := h.target(func(c *mysql.Config) (rotate.Target, error) { return mysql.Alternating(c, h.first.Username, h.other) })
		require.NoError(t, target.Set(t.Context(), c))
		require.NoError(t, target.Verify(t.Context(), c))
		for _, user := range []string{h.first.Username, h.other} {
			h.db.Exec("grant create on " + mysqlserver.QuoteIdent(h.db.Name) + ".* to " + mysqlserver.QuoteLiteral(user))
			err := target.Verify(t.Context(), c)
			require.ErrorIs(t, err, rotate.ErrUnfit)
			require.ErrorContains(t, err, "CREATE on `"+h.db.Name+"`.*")
			h.db.Exec("revoke create on " + mysqlserver.QuoteIdent(h.db.Name) + ".* from " + mysqlserver.QuoteLiteral(user))
		}
		require.NoError(t, target.Verify(t.Context(), c))
		_, err := target.Next(t.Context(), source.Credential{Username: "somebody"}, "two")
		require.ErrorContains(t, err, "somebody")
		require.ErrorIs(t, target.Set(t.Context(), rotate.Change{Token: "two", From: h.first, To: h.first}), rotate.ErrConflict)
	})
}

func TestLock(t *testing.T) {
	on(t, func(t *testing.T, h *house) {
		config, line := h.config()
		name := h.db.Name // of a secret that no other test has
		unlock, err := mysql.Lock(config, name)(t.Context())
		require.NoError(t, err)
		_, err = mysql.Lock(config, name)(t.Context())
		require.ErrorIs(t, err, rotate.ErrRunning)
		other, err := mysql.Lock(config, name+" too")(t.Context())
		require.NoError(t, err)
		other()
		unlock()
		require.Eventually(t, func() bool {
			unlock, err := mysql.Lock(config, name)(t.Context())
			if err == nil {
				unlock()
			}
			return err == nil
		}, 10*time.Second, time.Millisecond)
		up := line.Down(t)
		_, err = mysql.Lock(config, name)(t.Context())
		require.ErrorContains(t, err, "the network is down")
		require.NotErrorIs(t, err, rotate.ErrRunning)
		up()
	})
}

// A change does not wait longer for another one than it may.
func TestLockTimeout(t *testing.T) {
	on(t, func(t *testing.T, h *house) {
		target, c := h.target(mysql.SingleUser, func(c *mysql.Config) { c.LockTimeout = time.Second })
		entered, leave, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		require.NoError(t, target.Set(t.Context(), c))
		// A change from an unknown version asks whether that is accepted, under the lock.
		second := h.next(target, source.Credential{Username: h.first.Username, Password: c.To.Password, Version: "unknown"}, "two")
		blocked, _ := h.config()
		dial := blocked.Login.DialFunc
		blocked.Login.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
			close(entered)
			<-leave
			return dial(ctx, network, addr)
		}
		holder, err := mysql.SingleUser(blocked)
		require.NoError(t, err)
		go func() { done <- holder.Set(t.Context(), second) }()
		<-entered
		err = target.Set(t.Context(), c)
		close(leave)
		require.ErrorContains(t, err, "for more than 1s")
		require.NoError(t, <-done)
	})
}

func TestConfigurationsThatCannotBe(t *testing.T) {
	for _, c := range []*mysql.Config{nil, {}, {Admin: &sql.DB{}}} {
		_, err := mysql.SingleUser(c)
		require.ErrorContains(t, err, "Admin and Login")
		_, err = mysql.DualPassword(c)
		require.Error(t, err)
		_, err = mysql.Alternating(c, "one", "two")
		require.Error(t, err)
		_, err = mysql.Lock(c, "orders")(t.Context())
		require.Error(t, err)
	}
	good := mysql.Config{Admin: &sql.DB{}, Login: my.NewConfig()}
	_, err := mysql.Alternating(&good, "one", "one")
	require.ErrorContains(t, err, "twice")
	_, err = mysql.Alternating(&good, "one", "")
	var quote *mysql.QuoteError
	require.ErrorAs(t, err, &quote)
	good.Host = "'"
	_, err = mysql.SingleUser(&good)
	require.ErrorAs(t, err, &quote)
	good.Host, good.Database = "", " "
	_, err = mysql.SingleUser(&good)
	require.ErrorAs(t, err, &quote)
}
