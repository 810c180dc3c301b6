package main

import (
	"context"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/examples/httpserver/demo"
	"github.com/rekey-go/rekey/examples/orders"
	"github.com/rekey-go/rekey/pool/pooltest"
)

// The process is told to end in the middle of requests that take their time.
func TestSIGTERM(t *testing.T) {
	srv := pooltest.Postgres(t)
	srv.Exec(t, orders.Schema)
	s, process := launch(t, "-dsn", srv.DSN()+"&pool_max_conns=10", "-credential-file", srv.Store().File(t), "-drain", "1s")
	const slow = 8
	release := lock(t, srv)
	answers := make(chan error, slow)
	for range slow {
		go func() {
			_, err := s.want(t.Context(), http.StatusCreated, "POST", "/orders", `{"item": "tea", "quantity": 1}`)
			answers <- err
		}()
	}
	require.Eventually(t, func() bool { return waiting(t, srv) == slow }, patience, tick)

	require.NoError(t, process.Process.Signal(syscall.SIGTERM))
	s.becomes(t, "/readyz", http.StatusServiceUnavailable)
	_, err := s.want(t.Context(), http.StatusOK, "GET", "/healthz", "")
	require.NoError(t, err, "it lives")
	_, err = s.want(t.Context(), http.StatusOK, "GET", "/orders", "")
	require.NoError(t, err, "somebody has not noticed yet")
	require.Eventually(t, func() bool {
		_, _, err := s.do(t.Context(), "GET", "/readyz", "")
		return err != nil
	}, patience, tick, "it takes no more requests")
	require.Empty(t, answers, "none has been given up")

	release()
	for range slow {
		require.NoError(t, <-answers)
	}
	require.NoError(t, process.Wait(), "exit status 0")
	require.Zero(t, sessions(t, srv), "of the service in the database")
	require.False(t, strings.Contains(s.log.String(), current(t, srv)[:10]), "the log has the password")
	t.Logf("%d requests that began before SIGTERM were answered after it", slow)
}

// A request that never ends does not keep the service for ever.
func TestTheEndIsBounded(t *testing.T) {
	srv := pooltest.Postgres(t)
	srv.Exec(t, orders.Schema)
	s := start(t, config{dsn: srv.DSN(), credentialFile: srv.Store().File(t), grace: 300 * time.Millisecond})
	defer lock(t, srv)()
	cut := make(chan error, 1)
	go func() {
		_, _, err := s.do(t.Context(), "POST", "/orders", `{"item": "tea", "quantity": 1}`)
		cut <- err
	}()
	require.Eventually(t, func() bool { return waiting(t, srv) == 1 }, patience, tick)
	began := time.Now()
	require.ErrorContains(t, s.stop(), "requests were cut off: context deadline exceeded")
	require.Less(t, time.Since(began), maxTime, "before the request's own end")
	require.Error(t, <-cut)
	require.Zero(t, sessions(t, srv))
}

func TestNothingIsLeft(t *testing.T) {
	before := goleak.IgnoreCurrent()
	d, err := demo.Start(t.Context(), 200*time.Millisecond, quiet)
	require.NoError(t, err)
	s := start(t, config{dsn: d.DSN, credentialFile: d.File})
	clients := s.traffic(t, 2)
	require.Eventually(t, func() bool { return s.Health().Generation >= 5 }, patience, tick)
	clients.noFailures(t)
	require.NoError(t, s.stop())
	d.Close()
	s.client.CloseIdleConnections()
	goleak.VerifyNone(t, before)
}

func TestRefusesToGuessWhereTheUserComesFrom(t *testing.T) {
	for _, c := range []config{{}, {credentialFile: "f", vaultRole: "database/creds/app"}} {
		require.ErrorContains(t, run(t.Context(), c, quiet), "give either -credential-file or -vault-role")
	}
}

func TestFlagsGoBeforeTheEnvironment(t *testing.T) {
	t.Setenv("ORDERS_DSN", "postgres://db/shop")
	t.Setenv("ORDERS_LISTEN", ":1")
	t.Setenv("ORDERS_DRAIN", "3s")
	c, err := parse([]string{"-listen", ":2", "-vault-role", "database/creds/app"})
	require.NoError(t, err)
	require.Equal(t, config{
		dsn: "postgres://db/shop", listen: ":2", vaultRole: "database/creds/app", drain: 3 * time.Second, grace: 15 * time.Second,
	}, c)
	t.Setenv("ORDERS_GRACE", "soon")
	_, err = parse(nil)
	require.ErrorContains(t, err, "ORDERS_GRACE")
}

// launch builds the service and starts it in a process of its own.
func launch(t *testing.T, args ...string) (*service, *exec.Cmd) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "httpserver")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	s := newService(t)
	cmd := exec.CommandContext(t.Context(), program, append(args, "-listen", "127.0.0.1:0")...)
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended, if all is well
	s.listening(t)
	return s, cmd
}

// lock keeps whoever wants tea waiting until it is released.
func lock(t *testing.T, srv *pooltest.Server) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), srv.OwnerDSN())
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "begin; update items set stock = stock where name = 'tea'")
	require.NoError(t, err)
	return func() { _ = conn.Close(context.WithoutCancel(t.Context())) }
}

// waiting counts the sessions that wait for a lock.
func waiting(t *testing.T, srv *pooltest.Server) int {
	return count(t, srv, "wait_event_type = 'Lock'")
}

// sessions counts those of the service's users.
func sessions(t *testing.T, srv *pooltest.Server) int {
	return count(t, srv, "usename like 'pooltest%'")
}

func count(t *testing.T, srv *pooltest.Server, which string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), srv.OwnerDSN())
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	_, err = conn.Exec(t.Context(), "set role none") // the administrator sees what others do
	require.NoError(t, err)
	require.NoError(t, conn.QueryRow(t.Context(), "select count(*) from pg_stat_activity where "+which).Scan(&n))
	return n
}
