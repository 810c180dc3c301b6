// Package smserver is AWS Secrets Manager for tests: a store in memory that
// speaks the service's protocol (JSON 1.1 over HTTP) and keeps the documented
// rules of versions, staging labels, deletion and rotation, so that the real
// SDK can be pointed at it. Package smtest puts faults in front of it.
//
// Where the documentation leaves a question open, the answers are those that
// the service was seen to give. Requests need not be signed. There are no
// replicas, resource policies, KMS keys or managed secrets; a request for one is
// refused, not ignored.
package smserver

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"
)

// A Store is one account in one region. Its methods are safe for concurrent
// use; the fields are set before the first request.
type Store struct {
	// Now is the clock for all dates. Nil: time.Now.
	Now func() time.Time

	// OnRotate takes the place of the rotation function: it is called with each
	// step of a rotation, the secret's ARN and the ID of the version that is
	// made, and may use the store through its API. An error ends the rotation and
	// leaves the labels as they are. The context ends with CancelRotateSecret and
	// Close. Nil: a function that does nothing, so AWSPENDING stays on an empty
	// version.
	OnRotate func(ctx context.Context, step Step, secretID, token string) error

	mu        sync.Mutex
	moments   []moment             // oldest first; the last one is the present
	running   map[string]*rotation // by ARN
	failures  []error              // of rotations, until WaitRotations returns them
	life      context.Context      // of all rotations
	endLife   context.CancelFunc   //
	rotations sync.WaitGroup       //
	closed    bool                 //
}

// A moment is what the store held from a time on.
type moment struct {
	from  time.Time
	state state
}

// maxMoments is how many changes can be looked back on.
const maxMoments = 1000

// New returns an empty store.
func New() *Store {
	s := &Store{moments: []moment{{state: state{}}}, running: map[string]*rotation{}}
	s.life, s.endLife = context.WithCancel(context.Background())
	return s
}

// Close ends running rotations and waits for them. Requests that would start
// one are refused from then on.
func (s *Store) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.endLife()
	s.rotations.Wait()
}

// WaitRotations waits until no rotation runs and returns the errors of those
// that have failed since the last call.
func (s *Store) WaitRotations(ctx context.Context) error {
	for {
		s.mu.Lock()
		var one *rotation
		for _, one = range s.running {
			break
		}
		if one == nil {
			err := errors.Join(s.failures...)
			s.failures = nil
			s.mu.Unlock()
			return err
		}
		s.mu.Unlock()
		select {
		case <-one.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

type staleKey struct{}

// Stale makes requests with the returned context read the store as it was d
// ago, by the store's clock: the service is eventually consistent. Changes are
// not affected.
func Stale(ctx context.Context, d time.Duration) context.Context {
	return context.WithValue(ctx, staleKey{}, func(now time.Time) time.Time { return now.Add(-d) })
}

// AsOf is Stale with the moment that is read, by the store's clock.
func AsOf(ctx context.Context, then time.Time) context.Context {
	return context.WithValue(ctx, staleKey{}, func(time.Time) time.Time { return then })
}

// view returns what a request with this context reads.
func (s *Store) view(ctx context.Context) (state, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	last := len(s.moments) - 1
	if moment, stale := ctx.Value(staleKey{}).(func(time.Time) time.Time); stale {
		then := moment(now)
		for last > 0 && s.moments[last].from.After(then) {
			last--
		}
	}
	return s.moments[last].state.at(now), now
}

// change runs f on a copy of the present, which becomes the present if f
// succeeds. f must not block.
func (s *Store) change(f func(state, time.Time) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changeLocked(f)
}

func (s *Store) changeLocked(f func(state, time.Time) error) error {
	now := s.now()
	draft := maps.Clone(s.moments[len(s.moments)-1].state.at(now))
	if err := f(draft, now); err != nil {
		return err
	}
	s.moments = append(s.moments, moment{from: now, state: draft})
	if extra := len(s.moments) - maxMoments; extra > 0 {
		s.moments = append([]moment(nil), s.moments[extra:]...)
	}
	return nil
}

func (s *Store) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}
