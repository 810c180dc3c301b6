package mysql_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	my "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/mysqlserver"
	"github.com/rekey-go/rekey/internal/mysqlserver/mysqltest"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/internal/cut"
	"github.com/rekey-go/rekey/rotate/mysql"
	"github.com/rekey-go/rekey/rotate/rotatetest"
	"github.com/rekey-go/rekey/source"
)

// A house is a database with users who rotate, and a rotator who has no more
// rights than the package's documentation lists.
type house struct {
	t           *testing.T
	db          *mysqltest.DB
	rotatorUser string
	first       source.Credential
	other       string // the second of the alternating users
	mode        string // sql_mode of the rotator's sessions
}

// logged has a server write down every statement, and have a database for marks.
var logged = map[mysqlserver.Product]*sync.Once{mysqlserver.MariaDB: {}, mysqlserver.MySQL: {}}

// newHouse names the users after odd, which is part of every name.
func newHouse(t *testing.T, product mysqlserver.Product, odd string) *house {
	t.Helper()
	h := &house{t: t, db: mysqltest.Database(t, product), mode: "STRICT_TRANS_TABLES"}
	logged[product].Do(func() {
		for _, s := range []string{"create database if not exists rekey", "set global log_output = 'TABLE'", "set global general_log = on"} {
			h.db.Exec(s)
		}
	})
	h.first = source.Credential{Username: h.db.Role("1" + odd), Password: source.NewSecret("canary-" + rand.Text()), Version: "first"}
	h.rotatorUser, h.other = h.db.Role("rot"+odd), h.db.Role("2"+odd)
	for user, password := range map[string]string{h.rotatorUser: "rotator's", h.first.Username: h.first.Password.Reveal(), h.other: "nobody's"} {
		h.do("create user %s"+h.identified(password), user)
		t.Cleanup(func() { h.do("drop user if exists %s", user) })
	}
	h.db.Grant(h.first.Username)
	h.db.Grant(h.other)
	h.do("grant create user, process on *.* to %s", h.rotatorUser)
	if product == mysqlserver.MariaDB {
		h.do("grant create, select, insert, update on rekey.* to %s", h.rotatorUser)
	}
	return h
}

// identified is the clause that sets a password, which nobody gets to see.
func (h *house) identified(password string) string {
	if h.db.Server.Product() == mysqlserver.MariaDB {
		hash, err := mysql.NativeHash(source.NewSecret(password))
		require.NoError(h.t, err)
		return " identified via mysql_native_password using '" + hash.Reveal() + "'"
	}
	hash, err := mysql.CachingSHA2Hash(source.NewSecret(password), nil)
	require.NoError(h.t, err)
	return " identified with caching_sha2_password as 0x" + hex.EncodeToString([]byte(hash.Reveal()))
}

// do runs a statement with accounts in it as superuser.
func (h *house) do(statement string, users ...string) {
	h.t.Helper()
	accounts := make([]any, len(users))
	for i, user := range users {
		account, err := mysql.Account(user, "%")
		require.NoError(h.t, err)
		accounts[i] = account
	}
	h.db.Exec(fmt.Sprintf(statement, accounts...))
}

// config returns a configuration whose connections can be broken.
func (h *house) config() (*mysql.Config, *cut.Line) {
	line := &cut.Line{End: h.end}
	login := h.db.Config()
	login.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return line.Dial(ctx, network, addr, nil)
	}
	admin := sql.OpenDB(&connector{h, line})
	admin.SetMaxIdleConns(-1) // each step has a session of its own, which can be broken
	h.t.Cleanup(func() { require.NoError(h.t, admin.Close()) })
	return &mysql.Config{
		Admin: admin, Login: login,
		Verify: func(ctx context.Context, conn *sql.Conn) error {
			_, err := conn.ExecContext(ctx, "select id from orders limit 1")
			return err
		},
	}, line
}

// A connector logs in as the rotator.
type connector struct {
	*house
	line *cut.Line
}

func (c *connector) Driver() driver.Driver { return &my.MySQLDriver{} }

func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	config := c.db.Server.AppConfig("")
	config.User, config.Passwd = c.rotatorUser, "rotator's"
	config.Params = map[string]string{"sql_mode": "'" + c.mode + "'"}
	session := new(cut.Session)
	config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return c.line.Dial(ctx, network, addr, session)
	}
	inner, err := my.NewConnector(config)
	if err != nil {
		return nil, err
	}
	conn, err := inner.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if session.ID, err = number(ctx, conn, "select connection_id()"); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// number asks for one.
func number(ctx context.Context, conn driver.Conn, query string) (uint64, error) {
	rows, err := conn.(driver.QueryerContext).QueryContext(ctx, query, nil)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	values := make([]driver.Value, 1)
	if err := rows.Next(values); err != nil {
		return 0, err
	}
	return strconv.ParseUint(fmt.Sprint(values[0]), 10, 64)
}

// end ends a session and waits until it is gone.
func (h *house) end(id uint64) {
	err := h.db.Server.Do(func(db *sql.DB) error {
		ctx := context.Background()
		_, err := db.ExecContext(ctx, fmt.Sprint("kill ", id))
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for n := 1; n > 0 && err == nil; <-tick.C {
			err = db.QueryRowContext(ctx, "select count(*) from information_schema.processlist where id = ?", id).Scan(&n)
		}
		return err
	})
	if err != nil {
		h.t.Error(err)
	}
}

// harness is for the suite.
func (h *house) harness(open func(*mysql.Config) (rotate.Target, error)) rotatetest.TargetHarness {
	config, line := h.config()
	target, err := open(config)
	require.NoError(h.t, err)
	second, _ := h.config()
	other, err := open(second)
	require.NoError(h.t, err)
	longest := 0
	if h.db.Server.Product() == mysqlserver.MySQL {
		longest = 256
	}
	return rotatetest.TargetHarness{
		Target: target, Other: other, Current: h.first, Longest: longest,
		Overwrite: func(_ *testing.T, user, password string) { h.do("alter user %s"+h.identified(password), user) },
		Weaken:    func(_ *testing.T, user string) { h.db.Revoke(user, "select") },
		Fail:      line.Fail, Down: line.Down,
		Seen: func(t *testing.T) string { return seen(t, h.db.Server) },
	}
}

// seen is the server's log, with every statement, and what it shows of sessions.
func seen(t *testing.T, server *mysqlserver.Server) string {
	t.Helper()
	var all strings.Builder
	err := server.Do(func(db *sql.DB) error {
		rows, err := db.QueryContext(t.Context(), "select argument from mysql.general_log union all select coalesce(info, '') from information_schema.processlist")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var text string
			if err := rows.Scan(&text); err != nil {
				return err
			}
			all.WriteString(text + "\n")
		}
		return rows.Err()
	})
	require.NoError(t, err)
	return all.String()
}
