package rotate_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// A memory keeps a secret in this process: a rotate.Store, and the source of
// pools at the same time, which offers the pending version as a candidate.
type memory struct {
	mu       sync.Mutex
	state    rotate.State
	watchers map[int]func()
	next     int
	promoted int               // how often
	created  source.Credential // the last one, as it was asked for
}

func newMemory(c source.Credential) *memory {
	return &memory{state: rotate.State{Current: rotate.Version{Token: c.Version, Credential: c}}, watchers: make(map[int]func())}
}

func (m *memory) Name() string { return "orders" }

func (m *memory) Read(context.Context) (rotate.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state, nil
}

func (m *memory) Create(ctx context.Context, token string, next source.Credential) error {
	return m.change(ctx, func(s *rotate.State) error {
		switch {
		case s.Current.Token == token || s.Pending != nil && s.Pending.Token == token:
		case s.Pending != nil:
			return fmt.Errorf("%s is pending: %w", s.Pending.Token, rotate.ErrConflict)
		default:
			m.created = next
			fields := fieldsOf(s.Current.Credential)
			maps.Copy(fields, fieldsOf(next))
			s.Pending = &rotate.Version{Token: token, Credential: next.WithFields(fields), Created: time.Now()}
		}
		return nil
	})
}

func (m *memory) Promote(ctx context.Context, token, from string) error {
	return m.change(ctx, func(s *rotate.State) error {
		switch {
		case s.Current.Token == token:
		case s.Pending == nil || s.Pending.Token != token || s.Current.Token != from:
			return fmt.Errorf("%s is current: %w", s.Current.Token, rotate.ErrConflict)
		default:
			m.promoted++
			was := s.Current
			*s = rotate.State{Current: *s.Pending, Previous: &was}
		}
		return nil
	})
}

func (m *memory) Discard(ctx context.Context, token string) error {
	return m.change(ctx, func(s *rotate.State) error {
		if s.Pending != nil && s.Pending.Token == token {
			s.Pending = nil
		}
		return nil
	})
}

func (m *memory) Restore(ctx context.Context, to, from string) error {
	return m.change(ctx, func(s *rotate.State) error {
		switch {
		case s.Current.Token == to:
		case s.Previous == nil || s.Previous.Token != to || s.Current.Token != from:
			return fmt.Errorf("%s is current: %w", s.Current.Token, rotate.ErrConflict)
		default:
			was := s.Current
			s.Current, s.Previous = *s.Previous, &was
		}
		return nil
	})
}

// change changes the state and tells those who watch it.
func (m *memory) change(ctx context.Context, f func(*rotate.State) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	err := f(&m.state)
	for _, changed := range m.watchers {
		changed() // does not block
	}
	return err
}

func (m *memory) Credential(context.Context) (source.Credential, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state.Current.Credential, nil
}

func (m *memory) Candidates(context.Context) ([]source.Credential, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state.Pending == nil {
		return nil, nil
	}
	return []source.Credential{m.state.Pending.Credential}, nil
}

func (m *memory) Watch(changed func()) (stop func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	id := m.next
	m.next++
	m.watchers[id] = changed
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.watchers, id)
	}
}
