package crashtest_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// canary begins every password.
const canary = "canary-"

// envJob makes the test program a rotator that does a job.
const envJob = "REKEY_TEST_CRASH_JOB"

// A job is what a process is told to do.
type job struct {
	Target, Store string // names
	Users, Secret place
	Do            string        // rotateIt or rollBack
	Until         string        // give up when this step has ended well; empty: do not
	Unfit         bool          // verify finds something
	Twice         bool          // do every call twice
	Lock          bool          // take the target's lock
	Kill          int           // the point; zero: none, and the points are listed
	KillIn        rotate.Step   // the points are counted from when this begins; empty: from the start
	Drain         time.Duration // the longest wait for sessions; zero: 20 s
	Force         bool          // and go on when it has ended
	Draw          string        // what its passwords begin with
}

const (
	rotateIt = "rotate"
	rollBack = "roll back"
)

// A note is what a process tells about itself while it lives.
type note struct {
	Step    rotate.Step // of the audit
	Outcome rotate.Outcome
	Token   string
	User    string
	Left    int    // sessions
	Forced  string // why it was not waited for them

	Drawn string // a password
	Point string // that was come to
	End   bool   // the job is done
	Error string // how it ended
	Kind  string // which error it was
}

// A report is what is known of a process afterwards.
type report struct {
	notes []note
	end   *note  // nil: it was killed
	said  string // on standard output and standard error
}

func (r report) points() (names []string) {
	for _, n := range r.notes {
		if n.Point != "" {
			names = append(names, n.Point)
		}
	}
	return names
}

// work does a job in this process.
func (j job) work(ctx context.Context, log io.Writer, tell func(note)) {
	end := note{End: true}
	if err := j.try(ctx, log, tell); err != nil {
		end.Error = err.Error()
		for name, is := range kinds {
			if errors.Is(err, is) {
				end.Kind = name
			}
		}
	}
	tell(end)
}

var kinds = map[string]error{"nothing": rotate.ErrNothing, "unfit": rotate.ErrUnfit, "running": rotate.ErrRunning, "conflict": rotate.ErrConflict, "undrained": rotate.ErrUndrained}

func (j job) try(ctx context.Context, log io.Writer, tell func(note)) error {
	in := &injector{kill: j.Kill, late: j.KillIn != ""}
	if j.Kill == 0 {
		in.seen = func(point string) { tell(note{Point: point}) }
	}
	if j.Kill < 0 { // nobody wants to know
		in = nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	config, err := j.config(in)
	if err != nil {
		return err
	}
	drawn := 0
	config.Generate = func() (source.Secret, error) {
		drawn++
		password := fmt.Sprintf("%s%d", j.Draw, drawn)
		tell(note{Drawn: password})
		return source.NewSecret(password), nil
	}
	logged := rotate.LogTo(slog.New(slog.NewTextHandler(log, nil)))
	config.Audit = func(e rotate.Event) {
		logged(e)
		tell(note{Step: e.Step, Outcome: e.Outcome, Token: e.Rotation, User: e.User, Left: e.Sessions, Forced: e.Forced})
		if e.Step == j.KillIn {
			in.count()
		}
		if string(e.Step) == j.Until && e.Outcome == rotate.OutcomeOK {
			cancel()
		}
	}
	r, err := rotate.New(config)
	if err != nil {
		return err
	}
	do := r.Rotate
	if j.Do == rollBack {
		do = r.Rollback
	}
	_, err = do(ctx)
	return err
}

// config has the store and the target of a job, with its points.
func (j job) config(in *injector) (*rotate.Config, error) {
	store, err := kindOf(j.Store, stores).open(j.Secret, in)
	if err != nil {
		return nil, err
	}
	target, err := kindOf(j.Target, targets).open(j.Users, in, j.Unfit)
	if err != nil {
		return nil, err
	}
	c := &rotate.Config{
		Store: store, Target: target, Poll: time.Millisecond, DrainTimeout: cmp.Or(j.Drain, 20*time.Second), ForceDrain: j.Force,
		Generate: func() (source.Secret, error) { panic("nothing is drawn here") },
	}
	if in != nil {
		c.Store, c.Target = hookedStore{store, in.points}, hookedTarget{target, in.points}
		c.Approve = func(context.Context, rotate.Request) (string, error) {
			in.begin("Approve")
			in.at("after it")
			return "ada", nil
		}
	}
	if j.Lock {
		if c.Lock, err = kindOf(j.Target, targets).lock(j.Users); err != nil {
			return nil, err
		}
	}
	if j.Twice {
		c.Store, c.Target = hookedStore{c.Store, twice}, hookedTarget{c.Target, twice}
	}
	return c, nil
}

// asProcess does the job that the environment names, if it does.
func asProcess() bool {
	text, ok := os.LookupEnv(envJob)
	if !ok {
		return false
	}
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		panic(err)
	}
	notes := json.NewEncoder(os.NewFile(3, "notes")) // which writes each at once
	j.work(context.Background(), os.Stderr, func(n note) {
		if err := notes.Encode(n); err != nil {
			panic(err)
		}
	})
	return true
}

// A child is a process that does a job.
type child struct {
	cmd   *exec.Cmd
	notes *os.File
	said  bytes.Buffer
}

// start starts a process that does a job.
func (j job) start(t *testing.T) *child {
	t.Helper()
	text, err := json.Marshal(j)
	require.NoError(t, err)
	me, err := os.Executable()
	require.NoError(t, err)
	read, write, err := os.Pipe()
	require.NoError(t, err)
	c := &child{cmd: exec.CommandContext(t.Context(), me), notes: read}
	c.cmd.Env = append(os.Environ(), envJob+"="+string(text))
	c.cmd.ExtraFiles = []*os.File{write}
	c.cmd.Stdout, c.cmd.Stderr = &c.said, &c.said
	require.NoError(t, c.cmd.Start())
	write.Close()
	return c
}

// wait waits for the end of a process, in good order or by SIGKILL.
func (c *child) wait(t *testing.T) (r report) {
	t.Helper()
	defer c.notes.Close()
	dec := json.NewDecoder(c.notes)
	for {
		var n note
		if err := dec.Decode(&n); err != nil {
			break // the process has ended, maybe within a note
		}
		r.add(n)
	}
	err := c.cmd.Wait()
	r.said = c.said.String()
	if r.end != nil {
		require.NoError(t, err, r.said)
		return r
	}
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	status, ok := exit.Sys().(syscall.WaitStatus)
	require.True(t, ok && status.Signaled() && status.Signal() == syscall.SIGKILL, "it was not killed, but: %v\n%s", err, r.said)
	require.NotContains(t, r.said, "DATA RACE")
	return r
}

// here does a job in this process.
func (j job) here(t *testing.T) (r report) {
	t.Helper()
	var mu sync.Mutex
	var said strings.Builder
	j.Kill = -1
	j.work(t.Context(), &said, func(n note) {
		mu.Lock()
		defer mu.Unlock()
		r.add(n)
	})
	r.said = said.String()
	return r
}

func (r *report) add(n note) {
	r.notes = append(r.notes, n)
	if n.End {
		r.end = &n
	}
}
