package smserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// A Step is what a rotation function is called for.
type Step string

// The steps of a rotation, in order.
const (
	CreateSecret Step = "createSecret"
	SetSecret    Step = "setSecret"
	TestSecret   Step = "testSecret"
	FinishSecret Step = "finishSecret"
)

// A rotation is one that runs.
type rotation struct {
	arn, token string
	steps      []Step
	cancel     context.CancelFunc
	done       chan struct{}
}

type rotateIn struct {
	secretID
	ClientRequestToken string
	RotationLambdaARN  string
	RotationRules      *rules
	RotateImmediately  *bool // nil: yes
}

// rotateSecret makes the version that the rotation is to fill, and answers
// before the first step. A request with the token of a rotation that has failed
// runs its steps again.
func (s *Store) rotateSecret(_ context.Context, in rotateIn) (out createOut, err error) {
	id, err := token(in.ClientRequestToken)
	if err != nil {
		return out, err
	}
	if in.RotationRules != nil {
		if err := in.RotationRules.check(); err != nil {
			return out, err
		}
	}
	run := &rotation{token: id, steps: []Step{CreateSecret, SetSecret, TestSecret, FinishSecret}, done: make(chan struct{})}
	if in.RotateImmediately != nil && !*in.RotateImmediately {
		run.steps = []Step{TestSecret}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return out, &apiError{http.StatusInternalServerError, internal, "The store is closed."}
	}
	finished := false
	err = s.changeLocked(func(st state, now time.Time) error {
		c, err := st.edit(in.SecretID)
		if err != nil {
			return err
		}
		out, run.arn = createOut{ref: ref{c.arn, c.name}, VersionID: id}, c.arn
		if err := c.rotation.configure(in, now); err != nil {
			return err
		}
		if other := s.running[c.arn]; other != nil && other.token != id {
			return unfinished()
		}
		finished = c.labels[current] == id
		return c.prepare(id, now)
	})
	if err != nil || finished || s.running[run.arn] != nil {
		return out, err
	}
	ctx, cancel := context.WithCancel(s.life)
	run.cancel = cancel
	s.running[run.arn] = run
	s.rotations.Go(func() { s.rotate(ctx, run) })
	return out, nil
}

// prepare makes the empty version, unless it is there from an earlier attempt.
func (s *secret) prepare(id string, now time.Time) error {
	switch open := s.labels[pending]; {
	case open == id:
		return nil
	case open != "" && open != s.labels[current]:
		return unfinished()
	case s.version(id) != nil:
		return refuse(badState, "The ClientRequestToken is in use for another version of the secret.")
	}
	if err := s.add(version{id: id, created: now, kmsKey: s.kmsKey}); err != nil {
		return err
	}
	return s.attach(id, pending)
}

func unfinished() error {
	return refuse(badState, "A previous rotation isn't complete. That rotation will be reattempted.")
}

// rotate calls the rotation function, step by step.
func (s *Store) rotate(ctx context.Context, run *rotation) {
	defer close(run.done)
	defer run.cancel()
	var err error
	for _, step := range run.steps {
		if s.OnRotate != nil {
			if err = s.OnRotate(ctx, step, run.arn, run.token); err != nil {
				err = fmt.Errorf("smserver: rotation of %s, %s: %w", run.arn, step, err)
				break
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(run.steps) == 1 {
		err = errors.Join(err, s.changeLocked(run.discard))
	} else if err == nil {
		err = s.changeLocked(run.finish)
	}
	delete(s.running, run.arn)
	if err != nil && ctx.Err() == nil {
		s.failures = append(s.failures, err)
	}
}

// finish looks at what the function has done: a rotation has succeeded when its
// version is the current one, and nothing else is pending.
func (run *rotation) finish(st state, now time.Time) error {
	c, err := st.edit(run.arn)
	if err != nil {
		return err
	}
	if open := c.labels[pending]; c.labels[current] != run.token || open != "" && open != run.token {
		return fmt.Errorf("smserver: rotation of %s: all steps succeeded, but its version is not AWSCURRENT", run.arn)
	}
	c.rotation.rotated, c.changed = now, now
	return nil
}

// discard removes the version of a mere test of the function.
func (run *rotation) discard(st state, _ time.Time) error {
	c, err := st.edit(run.arn)
	if err != nil {
		return err
	}
	if c.labels[pending] == run.token {
		delete(c.labels, pending)
	}
	if c.labelsOf(run.token) == nil {
		c.remove(run.token)
	}
	return nil
}

// cancelRotateSecret leaves the labels of a rotation that runs as they are.
func (s *Store) cancelRotateSecret(_ context.Context, in secretID) (out createOut, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.changeLocked(func(st state, _ time.Time) error {
		c, err := st.edit(in.SecretID)
		if err != nil {
			return err
		}
		if !c.rotation.configured {
			return refuse(badState, "Rotation was never configured for this secret.")
		}
		c.rotation.enabled = false
		out.ref = ref{c.arn, c.name}
		if open := c.labels[pending]; open != c.labels[current] {
			out.VersionID = open
		}
		return nil
	})
	if run := s.running[out.ARN]; err == nil && run != nil {
		run.cancel()
	}
	return out, err
}
