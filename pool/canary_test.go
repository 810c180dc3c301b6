package pool_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

// A catcher keeps all that is said.
type catcher struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (c *catcher) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.Write(p)
}

func (c *catcher) say(values ...any) {
	for _, v := range values {
		fmt.Fprintf(c, "%v\n%+v\n%#v\n%s\n%q\n", v, v, v, v, v)
		text, err := json.Marshal(v)
		fmt.Fprintf(c, "%s %v\n", text, err)
	}
}

// fail says an error and everything that is inside.
func (c *catcher) fail(err error) {
	c.say(err)
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		c.say(connect, connect.Config, *connect.Config)
		c.say(connect.Config.Password)
	}
	var rejection *pgconn.PgError
	if errors.As(err, &rejection) {
		c.say(rejection, *rejection)
	}
	var parse *pgconn.ParseConfigError
	if errors.As(err, &parse) {
		c.say(parse, parse.ConnString)
	}
}

func (c *catcher) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.String()
}

const canary = "cAnArY-5eCrEt"

func (b *bench) sing(n int) {
	b.SetPassword(b.user, fmt.Sprint(canary, n))
	b.store.Set(source.Credential{
		Username: b.user, Password: source.NewSecret(fmt.Sprint(canary, n)),
	}.WithFields(map[string]source.Secret{"api_key": source.NewSecret(canary + " field")}))
}

func TestF38CanaryNeverAppears(t *testing.T) {
	b := newBench(t)
	var c catcher
	log := slog.New(slog.NewTextHandler(&c, &slog.HandlerOptions{Level: slog.LevelDebug - 10}))
	b.sing(0)
	opts := &pool.Options{Logger: log, Refresh: &refresh.Options{Logger: log}, LoginTimeout: 100 * time.Millisecond}
	config := b.config(2)
	config.BeforeConnect = func(_ context.Context, cc *pgx.ConnConfig) error {
		c.say(cc.Password)
		return nil
	}
	config.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		c.say(conn.Config().Password, conn.Config().Config)
		return nil
	}
	p, err := pool.Open(t.Context(), b.DSN+"&pool_max_conns=2", b.store, opts)
	require.NoError(t, err)
	defer p.Close()
	hooked := b.openConfig(config, nil)
	db := b.openDB(pool.Postgres(b.connConfig()))

	conn, err := p.Acquire(t.Context())
	require.NoError(t, err)
	again, err := pgx.ConnectConfig(t.Context(), conn.Conn().Config())
	require.NoError(t, err)
	c.say(conn.Conn().Config().Password, conn.Conn().Config().Config, again.Config().Password, again.Config().Config)
	require.NoError(t, again.Close(t.Context()))
	c.say(p.Config().ConnConfig.Password, p.Config().ConnString(), *p.Config(), p.Config().ConnConfig.Config)
	c.say(p.Refresher().Current())
	conn.Release()

	// Errors of logins that the database rejects, everywhere.
	b.SetPassword(b.user, "changed")
	for _, q := range []*pool.ManagedPool{p, hooked} {
		q.Reset()
		eventually(t, func() bool { return sockets(q) == 0 }, "all are closed")
		short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		c.fail(selectOne(short, q))
		c.fail(selectOne(short, q.Pool))
		cancel()
	}
	_, err = pool.Open(t.Context(), b.DSN, b.store, opts)
	require.ErrorIs(t, err, refresh.ErrRejected)
	c.fail(err)
	others := []*refresh.Refresher{hooked.Refresher(), db.Refresher(), b.refresher(nil), b.refresher(nil)}
	_, err = pool.New(t.Context(), b.config(2), others[2], opts)
	require.Error(t, err)
	c.fail(err)
	_, err = pool.OpenDB(t.Context(), pool.Postgres(b.connConfig()), others[3], opts)
	require.Error(t, err)
	c.fail(err)
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	db.SetMaxIdleConns(0)
	c.fail(db.PingContext(short))
	cancel()

	// What is not about the credential.
	for _, odd := range []func(*pgx.ConnConfig){
		func(cc *pgx.ConnConfig) { cc.Port = 1 },
		func(cc *pgx.ConnConfig) { cc.Database = "nowhere" },
		func(cc *pgx.ConnConfig) { cc.TLSConfig = nil; cc.SSLNegotiation = "direct" },
		func(cc *pgx.ConnConfig) {
			cc.ValidateConnect = func(context.Context, *pgconn.PgConn) error { return errors.New("not good enough") }
		},
		func(cc *pgx.ConnConfig) {
			cc.AfterConnect = func(context.Context, *pgconn.PgConn) error { return errors.New("nor now") }
		},
	} {
		b.sing(1)
		config := b.config(2)
		odd(config.ConnConfig)
		others = append(others, b.refresher(nil))
		q, err := pool.New(t.Context(), config, others[len(others)-1], opts)
		c.fail(err)
		if err == nil {
			c.fail(selectOne(t.Context(), q))
			q.Close()
		}
	}

	// Health, probes, panics, and what the server lets every role read.
	b.sing(2)
	eventually(t, func() bool { return selectOne(t.Context(), p) == nil }, "served again")
	c.say(p.Health(), db.Health())
	w := httptest.NewRecorder()
	pool.Handler(p, hooked, db).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	c.say(w.Body.String(), w.Header())
	func() {
		defer func() { c.say(recover()) }()
		panic(p.Refresher().Current())
	}()
	rows, err := p.Query(t.Context(), "select coalesce(application_name, '') || coalesce(query, '') from pg_stat_activity")
	require.NoError(t, err)
	activity, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	c.say(activity)
	p.Close()
	hooked.Close()
	require.NoError(t, db.Close())
	for _, r := range others {
		r.Close() // they share the store
	}
	c.say(p, p.Refresher()) // closed, because fmt looks at everything without a lock

	require.Contains(t, c.text(), "rekey: login rejected")
	require.NotContains(t, c.text(), canary)
}

func TestF38BadConnectionStringIsNotRepeated(t *testing.T) {
	for _, dsn := range []string{
		"postgres://user:" + canary + "@host:port/db",
		"postgres://user:" + canary + "/x?y@host/db",
		"postgres://user:a/" + canary + "@host:5432/db",
		"postgres://user:%zz" + canary + "@host/db",
		"postgres://user:" + canary + "@host/db?sslmode=nonsense",
		"postgres://host/db?password=" + canary + "&connect_timeout=x",
		"host=h password='" + canary,
		"host=h password=a " + canary,
		"host=h password=" + canary + " sslmode=nonsense",
		"host=h user=u password = `: " + canary + " sslmode=nonsense",
		"host=h password=" + canary + " pool_max_conns=many",
		canary,
	} {
		_, err := pool.Open(t.Context(), dsn, source.Static("u", source.NewSecret("p")), nil)
		require.ErrorContains(t, err, "the connection string cannot be parsed", dsn)
		var c catcher
		c.fail(err)
		require.NotContains(t, c.text(), canary, dsn)
	}
}
