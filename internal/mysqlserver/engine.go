package mysqlserver

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/rekey-go/rekey/internal/child"
	"github.com/rekey-go/rekey/internal/testca"
)

// Names of the files in a server's directory.
const (
	caName   = "ca.crt"
	certName = "server.crt"
	keyName  = "server.key"
	initName = "init.sql"
	logName  = "server.log"
)

// A program is how to run a server's binaries.
type program struct {
	product Product
	path    string   // of mariadbd or mysqld, for people
	server  []string // command that runs it
	install []string // command that initialises a MariaDB data directory
	flags   []string // where its own files are, if not where it was built for
}

// engine runs the binaries in a directory.
type engine struct {
	program
	dir      string
	settings map[string]string
	port     uint16
	proc     *child.Process // nil before the first start
}

// hasty are the settings of a server whose data need not survive the machine.
var hasty = map[string]string{
	"innodb-flush-log-at-trx-commit": "2", "innodb-buffer-pool-size": "32M", "innodb-flush-method": "nosync",
	"skip-log-bin": "", "max-connections": "200", "skip-name-resolve": "", "performance-schema": "OFF",
}

// newEngine writes the server's files, hands them to the account it will run
// as, and initialises the data directory.
func newEngine(ctx context.Context, dir string, p program, keys testca.Keys, password string, settings map[string]string) (*engine, error) {
	e := &engine{program: p, dir: dir, settings: settings}
	first := "create user if not exists admin@'%' identified by " + QuoteLiteral(password) + ";\n" +
		"grant all on *.* to admin@'%' with grant option;\n"
	files := map[string][]byte{caName: keys.CA, certName: keys.Cert, keyName: keys.Key, initName: []byte(first), logName: nil}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return nil, fmt.Errorf("mysqlserver: %w", err)
		}
	}
	if err := account.HandOver(dir); err != nil {
		return nil, fmt.Errorf("mysqlserver: %w", err)
	}
	initialise := append(slices.Clone(p.install), "--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--datadir="+e.data())
	if p.product == MySQL {
		initialise = append(append(slices.Clone(p.server), "--no-defaults", "--initialize-insecure", "--datadir="+e.data(), "--innodb-redo-log-capacity=8M"), p.flags...)
	}
	proc, err := e.launch(initialise)
	if err != nil {
		return nil, fmt.Errorf("mysqlserver: %w", err)
	}
	select {
	case <-proc.Done():
	case <-ctx.Done():
		proc.Kill()
		return nil, fmt.Errorf("mysqlserver: %s: %w", initialise[0], context.Cause(ctx))
	}
	if err := proc.Err(); err != nil {
		return nil, fmt.Errorf("mysqlserver: %s: %w\n%s", initialise[0], err, e.tail())
	}
	return e, nil
}

func (e *engine) data() string { return filepath.Join(e.dir, "data") }

func (e *engine) start() error {
	ours := map[string]string{
		"bind-address": "127.0.0.1", "port": strconv.Itoa(int(e.port)), "datadir": e.data(), "tmpdir": e.dir,
		"socket": filepath.Join(e.dir, "s"), "pid-file": filepath.Join(e.dir, "pid"), "init-file": filepath.Join(e.dir, initName),
		"ssl-ca": filepath.Join(e.dir, caName), "ssl-cert": filepath.Join(e.dir, certName), "ssl-key": filepath.Join(e.dir, keyName),
	}
	if e.product == MySQL {
		maps.Copy(ours, map[string]string{"mysqlx": "OFF", "innodb-redo-log-capacity": "8M", "secure-file-priv": "NULL"})
		ours["innodb-flush-method"] = "O_DIRECT_NO_FSYNC"
	} else {
		// Several ways to log in for one user cannot be mixed with this one,
		// but it must be there to be tested.
		ours["plugin-load-add"] = "auth_ed25519"
	}
	all := map[string]string{}
	for _, s := range []map[string]string{hasty, ours, e.settings} {
		maps.Copy(all, s)
	}
	args := append(slices.Clone(e.server), "--no-defaults")
	args = append(args, e.flags...)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		flag := "--" + name
		if all[name] != "" {
			flag += "=" + all[name]
		}
		args = append(args, flag)
	}
	proc, err := e.launch(args)
	if err != nil {
		return err
	}
	e.proc = proc
	return nil
}

func (e *engine) stop(ctx context.Context, how shutdown) error {
	return e.proc.End(ctx, syscall.Signal(how))
}

// launch starts a command that writes into the server's log.
func (e *engine) launch(command []string) (*child.Process, error) {
	log, err := os.OpenFile(filepath.Join(e.dir, logName), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = e.dir
	cmd.Env = []string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin", "HOME=" + e.dir, "TMPDIR=" + e.dir, "LC_ALL=C", "TZ=UTC"}
	cmd.Stdout, cmd.Stderr = log, log
	return account.Start(cmd, syscall.SIGKILL)
}

// tail is the end of the log, at most 4 kB.
func (e *engine) tail() string {
	f, err := os.Open(filepath.Join(e.dir, logName))
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	const most = 4 << 10
	if info, err := f.Stat(); err == nil && info.Size() > most {
		if _, err := f.Seek(-most, io.SeekEnd); err != nil {
			return err.Error()
		}
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
