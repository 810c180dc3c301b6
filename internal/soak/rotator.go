package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/internal/child"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/file"
	"github.com/rekey-go/rekey/rotate/postgres"
	"github.com/rekey-go/rekey/source"
)

// envRotator makes this program a rotator that does a job.
const envRotator = "REKEY_SOAK_ROTATOR"

// A job is what a rotator's process is told.
type job struct {
	File  string // that it rotates
	Admin string // URL of its own user
	Login string // URL of the application, without a user
	Group string
}

// interval is a rotator's pause between rotations.
const interval = 500 * time.Millisecond

// A tally counts rotations. It is what a rotator's process writes, a line each.
type tally struct {
	Done    atomic.Int64 // rotations
	Resumed atomic.Int64 // of them, begun by a process that was killed, or before a failure
	Failed  atomic.Int64 // attempts
}

// turn rotates again and again until ctx ends.
func turn(ctx context.Context, r *rotate.Rotator, logger *slog.Logger, tell func(outcome)) {
	for ctx.Err() == nil {
		result, err := r.Rotate(ctx)
		if err != nil {
			logger.Error("rotation failed", "error", err)
		}
		tell(outcome{result.Resumed, err != nil})
		_ = pause(ctx, interval) // ended: so does the loop
	}
}

// An outcome is that of one attempt.
type outcome struct{ Resumed, Failed bool }

func (t *tally) add(o outcome) {
	if o.Failed {
		t.Failed.Add(1)
		return
	}
	t.Done.Add(1)
	if o.Resumed {
		t.Resumed.Add(1)
	}
}

// drawn is a password that can be told when it is seen.
func drawn() (source.Secret, error) { return source.NewSecret(canary + rand.Text()), nil }

// audit writes down every step.
func audit(logger *slog.Logger) func(rotate.Event) { return rotate.LogTo(logger) }

// asRotator does the job that the environment names, if it does.
func asRotator() bool {
	text, ok := os.LookupEnv(envRotator)
	if !ok {
		return false
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	logger := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var j job
	err := json.Unmarshal([]byte(text), &j)
	if err == nil {
		err = j.work(ctx, logger)
	}
	if err != nil {
		logger.Error("no rotator", "error", err)
		os.Exit(1)
	}
	return true
}

func (j job) work(ctx context.Context, logger *slog.Logger) error {
	login, err := pgx.ParseConfig(j.Login)
	if err != nil {
		return err
	}
	c := &postgres.Config{Admin: func(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, j.Admin) }, Login: login}
	target, err := postgres.ParallelRole(c, j.Group)
	if err != nil {
		return err
	}
	r, err := rotate.New(&rotate.Config{
		Store: file.New(j.File, nil), Target: target, Generate: drawn, Audit: audit(logger),
		Poll: 20 * time.Millisecond, StepTimeout: 5 * time.Second, DrainTimeout: time.Minute,
	})
	if err != nil {
		return err
	}
	told := json.NewEncoder(os.Stdout)
	turn(ctx, r, logger, func(o outcome) { _ = told.Encode(o) }) // nobody to tell: who killed us does not mind
	return nil
}

// A rotator is a process that is killed and started again.
type rotator struct {
	job     job
	written *output
	tally   tally
	kills   int

	process *child.Process // nil: there is none
	reading sync.WaitGroup
}

func (r *rotator) start() error {
	if r.process != nil {
		return nil
	}
	text, err := json.Marshal(r.job)
	if err != nil {
		return err
	}
	me, err := os.Executable()
	if err != nil {
		return err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd := exec.Command(me)
	cmd.Env = append(os.Environ(), envRotator+"="+string(text))
	cmd.Stdout, cmd.Stderr = write, r.written
	r.process, err = child.Account(nil).Start(cmd, syscall.SIGKILL)
	err = errors.Join(err, write.Close())
	if err != nil {
		return errors.Join(err, read.Close())
	}
	r.reading.Go(func() {
		defer read.Close()
		for lines := json.NewDecoder(read); ; {
			var o outcome
			if lines.Decode(&o) != nil { // it has ended, maybe within a line
				return
			}
			r.tally.add(o)
		}
	})
	return nil
}

// kill ends the process wherever it is.
func (r *rotator) kill() {
	if r.process == nil {
		return
	}
	r.kills++
	r.process.Kill()
	r.reading.Wait()
	r.process = nil
}

// stop ends the process in good order.
func (r *rotator) stop(ctx context.Context) error {
	if r.process == nil {
		return nil
	}
	err := errors.Join(r.process.End(ctx, syscall.SIGTERM), r.process.Err())
	r.reading.Wait()
	r.process = nil
	return err
}
