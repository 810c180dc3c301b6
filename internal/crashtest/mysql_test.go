package crashtest_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/mysqlserver"
	"github.com/rekey-go/rekey/internal/mysqlserver/mysqltest"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/mysql"
	"github.com/rekey-go/rekey/source"
)

func mysqlTargets(p mysqlserver.Product) []targetKind {
	one := func(t *testing.T) users { return makeMySQL(t, p, false) }
	both := func(t *testing.T) users { return makeMySQL(t, p, true) }
	return []targetKind{
		{string(p) + " single user", one, mysqlTarget(func(c *mysql.Config, _ place) (rotate.Target, error) {
			return mysql.SingleUser(c)
		}), mysqlLock, ""},
		{string(p) + " alternating users", both, mysqlTarget(func(c *mysql.Config, p place) (rotate.Target, error) {
			return mysql.Alternating(c, p["one"], p["two"])
		}), mysqlLock, rotate.StepClear},
		{string(p) + " dual password", one, mysqlTarget(func(c *mysql.Config, _ place) (rotate.Target, error) {
			return mysql.DualPassword(c)
		}), mysqlLock, rotate.StepDrain},
	}
}

// myUsers are one or two users of a database.
type myUsers struct {
	db   *mysqltest.DB
	at   place
	cred source.Credential
	all  []string
}

// prepared servers have a rotator and write down every statement.
var prepared = map[mysqlserver.Product]*struct {
	sync.Once
	log sync.Mutex // one reader at a time
}{mysqlserver.MariaDB: {}, mysqlserver.MySQL: {}}

func makeMySQL(t *testing.T, p mysqlserver.Product, both bool) users {
	u := &myUsers{db: mysqltest.Database(t, p)}
	prepared[p].Do(func() {
		u.do("create user %s", rotatorRole)
		u.do("grant create user, process on *.* to %s", rotatorRole)
		u.db.Exec("create database rekey")
		u.do("grant create, select, insert, update on rekey.* to %s", rotatorRole)
		u.db.Exec("set global log_output = 'TABLE'")
		u.db.Exec("set global general_log = on")
	})
	config := u.db.Config()
	u.at = place{"addr": config.Addr, "database": u.db.Name, "one": u.db.Role("one"), "two": u.db.Role("two")}
	u.cred = source.Credential{Username: u.at["one"], Password: source.NewSecret(canary + strings.ToLower(rand.Text()[:10]))}
	u.make(t, u.at["one"], u.cred.Password)
	if both {
		u.make(t, u.at["two"], source.NewSecret(rand.Text()))
	}
	return u
}

// do runs a statement with an account in it as superuser.
func (u *myUsers) do(statement, user string) {
	u.db.Exec(fmt.Sprintf(statement, mysqlserver.QuoteLiteral(user)+"@'%'"))
}

func (u *myUsers) make(t *testing.T, user string, password source.Secret) {
	clause := " identified via mysql_native_password using '%s'"
	hash, err := mysql.NativeHash(password)
	if u.db.Server.Product() == mysqlserver.MySQL {
		clause = " identified with caching_sha2_password as 0x%s"
		hash, err = mysql.CachingSHA2Hash(password, nil)
	}
	require.NoError(t, err)
	text := hash.Reveal()
	if u.db.Server.Product() == mysqlserver.MySQL {
		text = hex.EncodeToString([]byte(text))
	}
	u.do("create user %s"+fmt.Sprintf(clause, text), user)
	u.all = append(u.all, user)
	t.Cleanup(func() { u.do("drop user if exists %s", user) })
	u.db.Grant(user)
}

func (u *myUsers) place() place             { return u.at }
func (u *myUsers) first() source.Credential { return u.cred }

var loginPart = regexp.MustCompile(" IDENTIFIED .*")

// accounts logs in with everything.
func (u *myUsers) accounts(t *testing.T, passwords []string) (all []account) {
	for _, user := range u.all {
		a := account{name: user}
		for _, password := range passwords {
			db := open3306(u.at, user, password, nil)
			err := db.PingContext(t.Context())
			var refused *driver.MySQLError
			if err == nil {
				a.passwords = append(a.passwords, password)
			} else {
				require.ErrorAs(t, err, &refused)
				require.EqualValues(t, 1045, refused.Number)
			}
			require.NoError(t, db.Close())
		}
		for _, line := range u.lines(t, "show grants for "+mysqlserver.QuoteLiteral(user)+"@'%'") {
			a.rights += strings.ReplaceAll(loginPart.ReplaceAllString(line, ""), user, "user") + "\n"
		}
		all = append(all, a)
	}
	return all
}

// seen is the server's log, which is emptied.
func (u *myUsers) seen(t *testing.T) string {
	mu := &prepared[u.db.Server.Product()].log
	mu.Lock()
	defer mu.Unlock()
	text := strings.Join(u.lines(t, "select argument from mysql.general_log"), "\n")
	u.db.Exec("truncate table mysql.general_log")
	return text
}

func (u *myUsers) session(t *testing.T, c source.Credential) (end func()) {
	db := open3306(u.at, c.Username, c.Password.Reveal(), nil)
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	return func() { require.NoError(t, errors.Join(conn.Close(), db.Close())) }
}

func (u *myUsers) lines(t *testing.T, query string) (all []string) {
	require.NoError(t, u.db.Server.Do(func(db *sql.DB) error {
		rows, err := db.QueryContext(t.Context(), query)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				return err
			}
			all = append(all, line)
		}
		return rows.Err()
	}))
	return all
}

// open3306 opens a handle whose sessions are not kept.
func open3306(p place, user, password string, in *injector) *sql.DB {
	config := myConfig(p, in)
	config.User, config.Passwd = user, password
	connector, err := driver.NewConnector(config)
	if err != nil {
		panic(err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxIdleConns(-1)
	return db
}

// myConfig leads to the server without TLS, so that each write is a request.
func myConfig(p place, in *injector) *driver.Config {
	c := driver.NewConfig()
	c.Net, c.Addr = "tcp", p["addr"]
	c.DialFunc = dial(in, myAsks)
	return c
}

// myAsks counts a login once, though how many packets it takes depends on what the
// server remembers: each has a number, with which a request begins anew.
func myAsks(b []byte) bool {
	const quit = 1
	return b[3] == 1 || b[3] == 0 && b[4] != quit
}

// admins are the rotator's handles of this process, by address.
var admins struct {
	mu sync.Mutex
	by map[string]*sql.DB
}

func admin(p place, in *injector) *sql.DB {
	if in != nil { // which is a process of its own
		return open3306(p, rotatorRole, "", in)
	}
	admins.mu.Lock()
	defer admins.mu.Unlock()
	db, ok := admins.by[p["addr"]]
	if !ok {
		if admins.by == nil {
			admins.by = map[string]*sql.DB{}
		}
		db = open3306(p, rotatorRole, "", nil)
		admins.by[p["addr"]] = db
	}
	return db
}

func closeMySQL() error {
	var errs []error
	for _, db := range admins.by {
		errs = append(errs, db.Close())
	}
	return errors.Join(errs...)
}

func mysqlConfig(p place, in *injector) *mysql.Config {
	login := myConfig(p, in)
	login.DBName = p["database"]
	return &mysql.Config{Admin: admin(p, in), Login: login, Verify: func(ctx context.Context, conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, "select id from orders limit 1")
		return err
	}}
}

func mysqlTarget(open func(*mysql.Config, place) (rotate.Target, error)) func(place, *injector, bool) (rotate.Target, error) {
	return func(p place, in *injector, unfit bool) (rotate.Target, error) {
		c := mysqlConfig(p, in)
		if unfit {
			c.Verify = func(ctx context.Context, conn *sql.Conn) error {
				_, err := conn.ExecContext(ctx, "select * from mysql.user")
				return err
			}
		}
		return open(c, p)
	}
}

func mysqlLock(p place) (lock, error) { return mysql.Lock(mysqlConfig(p, nil), p["database"]), nil }
