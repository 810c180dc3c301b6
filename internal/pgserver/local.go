package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/rekey-go/rekey/internal/child"
)

// local runs the binaries of an installed PostgreSQL.
type local struct {
	spec
	bin  string
	proc *child.Process // nil before the first start
}

// newLocal writes the server's files, hands them to the account it will run
// as, and initialises the data directory.
func newLocal(ctx context.Context, bin string, spec spec) (engine, error) {
	l := &local{spec: spec, bin: bin}
	l.log.Println("starting PostgreSQL from", bin)
	passwordFile := filepath.Join(l.dir, "password")
	files := map[string][]byte{
		passwordFile:                   []byte(l.password + "\n"),
		filepath.Join(l.dir, certName): l.keys.Cert,
		filepath.Join(l.dir, keyName):  l.keys.Key,
		filepath.Join(l.dir, hbaName):  []byte(l.hba),
		filepath.Join(l.dir, logName):  nil,
	}
	for path, text := range files {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return nil, fmt.Errorf("pgserver: %w", err)
		}
	}
	if err := account.HandOver(l.dir); err != nil {
		return nil, fmt.Errorf("pgserver: %w", err)
	}
	cmd := l.command("initdb", "-D", l.data(), "-U", "postgres", "--pwfile", passwordFile,
		"--auth-local=scram-sha-256", "--auth-host=scram-sha-256", "--no-sync", "--locale=C", "--encoding=UTF8")
	if err := l.run(ctx, cmd); err != nil {
		return nil, err
	}
	if err := os.Remove(passwordFile); err != nil {
		return nil, fmt.Errorf("pgserver: %w", err)
	}
	return l, nil
}

// run runs a command to its end.
func (l *local) run(ctx context.Context, cmd *exec.Cmd) error {
	p, err := l.launch(cmd)
	if err != nil {
		return fmt.Errorf("pgserver: %w", err)
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("pgserver: %s: %w", cmd.Path, context.Cause(ctx))
	}
	if err := p.Err(); err != nil {
		return fmt.Errorf("pgserver: %s: %w\n%s", cmd.Path, err, l.tail())
	}
	return nil
}

func (l *local) data() string { return filepath.Join(l.dir, "data") }

// command prepares a program of the installation with an environment that
// holds none of the caller's PG variables.
func (l *local) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(l.bin, name), args...)
	cmd.Dir = l.dir
	cmd.Env = []string{"PATH=" + l.bin + ":/usr/bin:/bin", "HOME=" + l.dir, "TMPDIR=" + l.dir, "LC_ALL=C", "TZ=UTC"}
	return cmd
}

// launch starts a command that writes into the server's log.
func (l *local) launch(cmd *exec.Cmd) (*child.Process, error) {
	log, err := os.OpenFile(filepath.Join(l.dir, logName), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	p, err := account.Start(cmd, syscall.SIGINT)
	if errors.Is(err, os.ErrPermission) && os.Geteuid() == 0 {
		return nil, fmt.Errorf("%w; root starts PostgreSQL as another account, so make %s readable to all", err, l.bin)
	}
	return p, err
}

func (l *local) start(_ context.Context, port uint16) error {
	ours := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"port":                    strconv.Itoa(int(port)),
		"unix_socket_directories": l.dir,
		"hba_file":                filepath.Join(l.dir, hbaName),
		"ssl_cert_file":           filepath.Join(l.dir, certName),
		"ssl_key_file":            filepath.Join(l.dir, keyName),
	}
	p, err := l.launch(l.command("postgres", append([]string{"-D", l.data()}, flags(hasty, ours, l.settings)...)...))
	if err != nil {
		return err
	}
	l.proc = p
	return nil
}

func (l *local) stop(ctx context.Context, how shutdown) error {
	return l.proc.End(ctx, syscall.Signal(how))
}

func (l *local) exited() <-chan struct{} { return l.proc.Done() }

func (l *local) remove() error { return nil } // the directory is all there is

// tail is the end of the log, at most 4 kB.
func (l *local) tail() string {
	f, err := os.Open(filepath.Join(l.dir, logName))
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
