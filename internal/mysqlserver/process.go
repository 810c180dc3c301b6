package mysqlserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// shutdown is the signal that tells a server how to end.
type shutdown syscall.Signal

const (
	orderly = shutdown(syscall.SIGTERM)
	crash   = shutdown(syscall.SIGKILL)
)

// process is a child with a goroutine that waits for it.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of the child; read it after done
}

// launch starts a command as whom and how the system asks for it.
func launch(cmd *exec.Cmd) (*process, error) {
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
		p.err = p.cmd.Wait()
	}
}

// end signals the child and waits until it is gone, at most ten seconds or
// until the context ends; then it is killed.
func (p *process) end(ctx context.Context, how shutdown) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := p.cmd.Process.Signal(syscall.Signal(how)); errors.Is(err, os.ErrProcessDone) {
		<-p.done
		return nil
	} else if err != nil {
		p.kill()
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		p.kill()
		return fmt.Errorf("%s did not end in time and was killed: %w", p.cmd.Path, ctx.Err())
	}
}

// kill ends the child and its group by force and waits for it.
func (p *process) kill() {
	killGroup(p.cmd)
	<-p.done
}
