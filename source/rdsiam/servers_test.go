package rdsiam_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"strconv"
	"sync"
	"testing"

	driver "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/iamcheck"
	"github.com/rekey-go/rekey/internal/mysqlserver"
	"github.com/rekey-go/rekey/internal/mysqlserver/mysqltest"
	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/mysql"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

// shared are the servers of this test binary, each started when first asked
// for, and the gate that they ask by PAM.
var shared struct {
	gate     once[*iamcheck.Gate]
	postgres once[*pgserver.Server]
	mariadb  once[*mysqlserver.Server]
}

// A once is started once.
type once[T io.Closer] struct {
	sync.Once
	value T
	err   error
}

func (o *once[T]) get(t *testing.T, start func(context.Context) (T, error)) T {
	t.Helper()
	o.Do(func() { o.value, o.err = start(context.Background()) })
	require.NoError(t, o.err)
	return o.value
}

func (o *once[T]) close() error {
	o.Do(func() {}) // it cannot be started any more
	var none T
	if any(o.value) == any(none) {
		return nil
	}
	return o.value.Close()
}

// closeServers returns the exit code.
func closeServers() int {
	if err := errors.Join(shared.postgres.close(), shared.mariadb.close(), shared.gate.close()); err != nil {
		log.Println(err)
		return 1
	}
	return 0
}

// postgres is a server that asks all who have rds_iam for tokens, by PAM, as
// RDS does.
func postgres(t *testing.T) *pgserver.Server {
	g := shared.gate.get(t, iamcheck.Open)
	return shared.postgres.get(t, func(ctx context.Context) (*pgserver.Server, error) {
		s, err := pgserver.Start(ctx, &pgserver.Options{Own: true, HBA: []string{"hostssl all +rds_iam all pam pamservice=" + g.Service()}})
		if err != nil {
			return nil, err
		}
		return s, s.Exec(ctx, "create role rds_iam nologin")
	})
}

// mariadb is a server that asks for passwords as they are and gives them to PAM.
func mariadb(t *testing.T) *mysqlserver.Server {
	shared.gate.get(t, iamcheck.Open)
	return shared.mariadb.get(t, func(ctx context.Context) (*mysqlserver.Server, error) {
		return mysqlserver.Start(ctx, &mysqlserver.Options{Own: true, Settings: map[string]string{
			// The plugin inside of the server: the other needs a helper that belongs to root.
			"plugin-load-add": "auth_pam_v1", "pam-use-cleartext-plugin": "ON",
		}})
	})
}

// A server is a real one with a user who logs in with tokens, and has no
// password.
type server struct {
	iam      *iamcheck.User // the user, as IAM sees him
	endpoint string
	user     string
	code     string // of a rejected login
	login    func(ctx context.Context, password string) error
	classify func(error) pool.Verdict
	open     func(t *testing.T, src source.Source, o *pool.Options) *client
	config   func() *driver.Config // of MariaDB
}

// refused are the logins that were.
func (s *server) refused() (n int) {
	for _, l := range s.iam.Logins() {
		if l.Err != nil {
			n++
		}
	}
	return n
}

// A client is a pool of either kind.
type client struct {
	query  func(ctx context.Context) (session int64, err error) // on any connection
	begin  func(ctx context.Context) (query func(ctx context.Context) (session int64, err error), end func() error, err error)
	empty  func() // closes what is idle
	health func() pool.Health
}

// options are those of a pool and its refresher.
func options(t *testing.T) *pool.Options {
	return &pool.Options{Logger: logger(t), Refresh: &refresh.Options{Logger: logger(t)}}
}

// most is how many connections a client may have.
const most = 30

// servers runs test on each.
func servers(t *testing.T, test func(t *testing.T, v *vendor, s *server)) {
	t.Helper()
	t.Parallel()
	for name, user := range map[string]func(*testing.T, *vendor) *server{"PostgreSQL": onPostgres, "MariaDB": onMariaDB} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVendor()
			test(t, v, user(t, v))
		})
	}
}

// known makes the user known to IAM.
func (s *server) known(t *testing.T, v *vendor) *server {
	t.Helper()
	s.iam = shared.gate.get(t, iamcheck.Open).Add(s.user, iamcheck.Checker{Endpoint: s.endpoint, Region: region, Keys: v.keys()})
	return s
}

// onPostgres makes a user with rds_iam.
func onPostgres(t *testing.T, v *vendor) *server {
	t.Helper()
	pg := postgres(t)
	host, port := pg.Addr()
	db := pgtest.On(t, pg)
	s := (&server{endpoint: net.JoinHostPort(host, strconv.Itoa(int(port))), user: db.Role("app"), code: "28000"}).known(t, v)
	require.NoError(t, pg.Exec(t.Context(), "create role "+s.user+" login in role rds_iam, "+db.Group))
	s.classify = pool.ClassifyPostgres
	s.login = func(ctx context.Context, password string) error {
		config, err := pgx.ParseConfig(db.DSN)
		require.NoError(t, err)
		config.User, config.Password = s.user, password
		conn, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	}
	s.open = func(t *testing.T, src source.Source, o *pool.Options) *client {
		p, err := pool.Open(t.Context(), db.DSN+"&pool_max_conns="+strconv.Itoa(most), src, o)
		require.NoError(t, err)
		t.Cleanup(p.Close)
		const query = "select pg_backend_pid() from orders right join (select 1) x on true"
		return &client{
			query: func(ctx context.Context) (session int64, err error) {
				return session, p.QueryRow(ctx, query).Scan(&session)
			},
			begin: func(ctx context.Context) (func(context.Context) (int64, error), func() error, error) {
				tx, err := p.Begin(ctx)
				if err != nil {
					return nil, nil, err
				}
				return func(ctx context.Context) (session int64, err error) {
					return session, tx.QueryRow(ctx, query).Scan(&session)
				}, func() error { return tx.Commit(context.WithoutCancel(ctx)) }, nil
			},
			empty:  p.Reset,
			health: p.Health,
		}
	}
	return s
}

// onMariaDB makes a user whom the server knows by PAM.
func onMariaDB(t *testing.T, v *vendor) *server {
	t.Helper()
	db := mysqltest.On(t, mariadb(t))
	s := (&server{endpoint: db.Config().Addr, user: db.Role("app"), code: "1045"}).known(t, v)
	db.Exec("create user " + mysqlserver.QuoteLiteral(s.user) + "@'%' identified via pam using " +
		mysqlserver.QuoteLiteral(shared.gate.value.Service()))
	db.Grant(s.user)
	s.config = db.Config
	s.classify = mysql.Classify
	s.login = func(ctx context.Context, password string) error {
		return tryMySQL(ctx, t, db.Config(), s.user, password)
	}
	s.open = func(t *testing.T, src source.Source, o *pool.Options) *client {
		d, err := mysql.NewForTokens(db.Config())
		require.NoError(t, err)
		r, err := refresh.New(t.Context(), src, o.Refresh)
		require.NoError(t, err)
		t.Cleanup(r.Close)
		p, err := pool.OpenDB(t.Context(), d, r, o)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, p.Close()) })
		p.SetMaxOpenConns(most)
		p.SetMaxIdleConns(most)
		const query = "select connection_id() from (select 1) x left join orders on true"
		return &client{
			query: func(ctx context.Context) (session int64, err error) {
				return session, p.QueryRowContext(ctx, query).Scan(&session)
			},
			begin: func(ctx context.Context) (func(context.Context) (int64, error), func() error, error) {
				tx, err := p.BeginTx(ctx, nil)
				if err != nil {
					return nil, nil, err
				}
				return func(ctx context.Context) (session int64, err error) {
					return session, tx.QueryRowContext(ctx, query).Scan(&session)
				}, tx.Commit, nil
			},
			empty:  func() { p.SetMaxIdleConns(-1); p.SetMaxIdleConns(most) },
			health: p.Health,
		}
	}
	return s
}

// code is the server's code of an error.
func code(err error) string {
	var pg *pgconn.PgError
	var my *driver.MySQLError
	switch {
	case errors.As(err, &pg):
		return pg.Code
	case errors.As(err, &my):
		return strconv.Itoa(int(my.Number))
	}
	return ""
}
