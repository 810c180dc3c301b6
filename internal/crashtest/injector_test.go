package crashtest_test

import (
	"os"
	"sync"
	"syscall"
)

// An injector counts the points that a process comes to, and kills it at one of
// them. A nil one does nothing.
type injector struct {
	kill int          // from 1; zero: nowhere
	seen func(string) // is told the name of each point; nil: nobody is

	mu   sync.Mutex
	late bool // counts from when it is told to
	n    int
	call string // of the store or the target that is under way
}

// count counts from now on, if it has not before.
func (in *injector) count() {
	if in == nil {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.late = false
}

// begin names the call that the following points belong to.
func (in *injector) begin(call string) {
	if in == nil {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.call = call
}

// at is a point. The process may not come back from it.
func (in *injector) at(what string) {
	if in.due(what) {
		die()
	}
}

// due is a point of which the caller says when exactly it is: then it has to die.
func (in *injector) due(what string) bool {
	if in == nil {
		return false
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.late {
		return false
	}
	in.n++
	if in.seen != nil {
		in.seen(in.call + ": " + what)
	}
	return in.n == in.kill
}

// die ends the process as a crash does: nothing is deferred, flushed or told.
func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
