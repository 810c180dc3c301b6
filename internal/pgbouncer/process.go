package pgbouncer

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

const iniName = "pgbouncer.ini"

// process is a child with a goroutine that waits for it.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the child is gone
}

// launch starts the program with the configuration in dir, as an account that
// it accepts: it refuses to run as root.
func launch(program, dir string) (*process, error) {
	log, err := os.OpenFile(filepath.Join(dir, "output"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(program, filepath.Join(dir, iniName))
	cmd.Dir, cmd.Env = dir, []string{"PATH=/usr/bin:/bin", "HOME=" + dir, "LC_ALL=C", "TZ=UTC"}
	cmd.Stdout, cmd.Stderr = log, log
	if err := adjust(cmd); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go p.run(started)
	return p, <-started
}

// run stays on one thread from start to end: Linux ends the child when the
// thread that started it ends, not when the program does.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	err := p.cmd.Start()
	started <- err
	if err == nil {
		_ = p.cmd.Wait() // how a killed child ends does not matter
	}
}

// kill ends the child and waits for it.
func (p *process) kill() {
	if p.cmd.Process != nil {
		if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return // it is not ours to wait for
		}
	}
	<-p.done
}
