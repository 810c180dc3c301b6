// Package pgbouncer starts a throwaway PgBouncer in front of a server of
// package pgserver, for tests: SCRAM logins are checked against the server by
// auth_query and passed through to it, so users come and go in the database
// alone.
//
// The program comes from PATH or, on Debian or Ubuntu as root, from the package
// pgbouncer, which is installed when it is missing.
//
// What version 1.18 answers (FATAL, SQLSTATE 08P01, at every time and for every
// reason) is recorded by the tests of this package.
package pgbouncer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rekey-go/rekey/internal/child"
	"github.com/rekey-go/rekey/internal/pgserver"
)

// Options say how the pooler behaves. Nil means the zero value.
type Options struct {
	// PoolMode is session, transaction or statement. Empty: session.
	PoolMode string

	// ServerLoginRetry is how long, after a failed login at the server, clients
	// are turned away without another try. Whole seconds. Zero: PgBouncer's own
	// 15 s.
	ServerLoginRetry time.Duration

	// Settings are further settings of the section [pgbouncer]. They take
	// precedence over what this package sets.
	Settings map[string]string

	// Log is told what is going on, such as a package being installed. Nil: nobody is.
	Log io.Writer
}

// Bouncer is a running PgBouncer. Its methods are safe for concurrent use.
type Bouncer struct {
	dir  string
	port uint16
	proc *child.Process
}

const logName = "pgbouncer.log"

// Start starts a PgBouncer for all databases of server and returns when it
// accepts connections. The context governs start-up only; Close ends it.
func Start(ctx context.Context, server *pgserver.Server, o *Options) (*Bouncer, error) {
	var opts Options
	if o != nil {
		opts = *o
	}
	program, err := find(ctx, log.New(cmp.Or(opts.Log, io.Discard), "", 0))
	if err != nil {
		return nil, fmt.Errorf("pgbouncer: %w; run: apt-get install pgbouncer", err)
	}
	dir, err := os.MkdirTemp("/tmp", "rekey-pgbouncer-*") // other accounts must reach it
	if err != nil {
		return nil, fmt.Errorf("pgbouncer: %w", err)
	}
	b := &Bouncer{dir: dir}
	if err := b.start(ctx, program, server, opts); err != nil {
		return nil, errors.Join(fmt.Errorf("pgbouncer: %w", err), b.Close())
	}
	return b, nil
}

func (b *Bouncer) start(ctx context.Context, program string, server *pgserver.Server, opts Options) error {
	// A port that is free now may be taken a moment later: then try another.
	var err error
	for range 5 {
		if b.port, err = freePort(); err != nil {
			return err
		}
		if err = b.configure(server, opts); err != nil {
			return err
		}
		if b.proc, err = launch(program, b.dir); err != nil {
			return err
		}
		if err = b.ready(ctx); err == nil || ctx.Err() != nil || !strings.Contains(b.Log(), "Address already in use") {
			return err
		}
	}
	return err
}

// configure writes the files and hands them to the account it will run as. The
// superuser looks passwords up: it may connect to every database.
func (b *Bouncer) configure(server *pgserver.Server, opts Options) error {
	u, err := url.Parse(server.DSN())
	if err != nil {
		return errors.New("the DSN of the server is no URL")
	}
	host, port := server.Addr()
	password, _ := u.User.Password()
	all := map[string]string{
		"listen_addr":               "127.0.0.1",
		"listen_port":               strconv.Itoa(int(b.port)),
		"unix_socket_dir":           "",
		"logfile":                   filepath.Join(b.dir, logName),
		"auth_type":                 "scram-sha-256",
		"auth_file":                 filepath.Join(b.dir, "userlist.txt"),
		"auth_user":                 u.User.Username(),
		"auth_query":                "select rolname, rolpassword from pg_authid where rolname = $1 and rolcanlogin",
		"pool_mode":                 cmp.Or(opts.PoolMode, "session"),
		"ignore_startup_parameters": "extra_float_digits",
		"server_tls_sslmode":        cmp.Or(u.Query().Get("sslmode"), "prefer"),
	}
	if ca := server.CAFile(); ca != "" {
		all["server_tls_ca_file"] = ca
	}
	if retry := opts.ServerLoginRetry; retry > 0 {
		all["server_login_retry"] = strconv.Itoa(int(retry / time.Second))
	}
	maps.Copy(all, opts.Settings)

	ini := fmt.Sprintf("[databases]\n* = host=%s port=%d\n\n[pgbouncer]\n", host, port)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		ini += name + " = " + all[name] + "\n"
	}
	quote := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
	files := map[string]string{
		iniName:        ini,
		"userlist.txt": quote(u.User.Username()) + " " + quote(password) + "\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return account.HandOver(b.dir)
}

// ready waits until the pooler accepts connections or has ended.
func (b *Bouncer) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", b.Addr())
		if err == nil {
			return conn.Close()
		}
		select {
		case <-tick.C:
		case <-b.proc.Done():
			return fmt.Errorf("it ended while starting; its log ends with\n%s", b.Log())
		case <-ctx.Done():
			return fmt.Errorf("it does not answer (%w); its log ends with\n%s", err, b.Log())
		}
	}
}

// Addr is where the pooler listens, host:port.
func (b *Bouncer) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(b.port))) }

// DatabaseDSN is the URL of a database through the pooler, without user and
// password. It is in the clear: the connection never leaves the machine.
func (b *Bouncer) DatabaseDSN(database string) string {
	u := url.URL{Scheme: "postgres", Host: b.Addr(), Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}

// Log is what the pooler has logged so far.
func (b *Bouncer) Log() string {
	text, err := os.ReadFile(filepath.Join(b.dir, logName))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Close ends the pooler at once and removes its files. It may be called more
// than once.
func (b *Bouncer) Close() error {
	if b.proc != nil {
		b.proc.Kill()
	}
	return os.RemoveAll(b.dir)
}

func freePort() (uint16, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	return port, l.Close()
}
