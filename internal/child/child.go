// Package child runs servers for tests as children of this process: under an
// account that they accept, and never longer than this process lives.
package child

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

// An Account is as whom a server runs where this process is root, which servers
// refuse to be: the first of the users that exists. A nil one is our own.
type Account []string

// A Process is a child with a goroutine that waits for it.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Start starts cmd as a. If this process ends without it, the child gets the
// signal orphaned, where the system can do that.
func (a Account) Start(cmd *exec.Cmd, orphaned syscall.Signal) (*Process, error) {
	if err := a.adjust(cmd, orphaned); err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go p.run(started)
	return p, <-started
}

// run stays on one thread from start to end: Linux ends the child when the
// thread that started it ends, not when the program does.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	err := p.cmd.Start()
	started <- err
	if err == nil {
		p.err = p.cmd.Wait()
	}
}

// Done is closed when the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err returns how the child ended. It may be called after Done.
func (p *Process) Err() error { return p.err }

// End signals the child and waits until it is gone, at most ten seconds or
// until ctx ends; then it is killed.
func (p *Process) End(ctx context.Context, how syscall.Signal) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := p.cmd.Process.Signal(how); errors.Is(err, os.ErrProcessDone) {
		<-p.done
		return nil
	} else if err != nil {
		p.Kill()
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("%s did not end in time and was killed: %w", p.cmd.Path, ctx.Err())
	}
}

// Kill ends the child and its group by force and waits for it.
func (p *Process) Kill() {
	killGroup(p.cmd)
	<-p.done
}
