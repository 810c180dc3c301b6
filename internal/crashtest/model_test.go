package crashtest_test

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// A model is a store and a database in memory that keep to what rotate.Store and
// rotate.Target ask for, and no more. One call is done at a time.
type model struct {
	strategy rotate.Strategy
	state    rotate.State
	users    map[string]*modelUser

	stored   map[string]bool // passwords that the store has ever held
	promoted map[string]int  // how often a token became current
}

// A modelUser has the marks that rotate/postgres writes into comments.
type modelUser struct {
	password string // empty: no login
	enabled  bool
	token    string // the rotation that changed it last
	after    string // which version that followed
	spent    map[string]bool
	born     int
}

func newModel(s rotate.Strategy) *model {
	first := source.Credential{Username: "one", Password: source.NewSecret("first"), Version: "v0"}
	m := &model{
		strategy: s, state: rotate.State{Current: rotate.Version{Token: "v0", Credential: first}},
		users: map[string]*modelUser{}, stored: map[string]bool{"first": true}, promoted: map[string]int{},
	}
	m.user("one").password = "first"
	if s.Reuses {
		m.user("two")
	}
	return m
}

// user makes a user.
func (m *model) user(name string) *modelUser {
	u := &modelUser{enabled: true, spent: map[string]bool{}, born: len(m.stored)}
	m.users[name] = u
	return u
}

func (m *model) accepts(c source.Credential) bool {
	u := m.users[c.Username]
	return u != nil && u.enabled && u.password != "" && u.password == c.Password.Reveal()
}

func conflict(format string, a ...any) error {
	return fmt.Errorf("model: %s: %w", fmt.Sprintf(format, a...), rotate.ErrConflict)
}

// A modelStore is the store's side of a model.
type modelStore struct{ *model }

func (modelStore) Name() string { return "model" }

func (m modelStore) Read(context.Context) (rotate.State, error) { return m.state, nil }

func (m modelStore) Create(_ context.Context, token string, next source.Credential) error {
	s := &m.state
	switch {
	case s.Current.Token == token || s.Pending != nil && s.Pending.Token == token:
		return nil
	case s.Pending != nil:
		return conflict("%s is pending", s.Pending.Token)
	}
	m.stored[next.Password.Reveal()] = true
	s.Pending = &rotate.Version{Token: token, Credential: next}
	return nil
}

func (m modelStore) Promote(_ context.Context, token, from string) error {
	s := &m.state
	switch {
	case s.Current.Token == token:
		return nil
	case s.Pending == nil || s.Pending.Token != token || s.Current.Token != from:
		return conflict("%s is current", s.Current.Token)
	}
	m.promoted[token]++
	before := s.Current
	*s = rotate.State{Current: *s.Pending, Previous: &before}
	return nil
}

func (m modelStore) Discard(_ context.Context, token string) error {
	if m.state.Pending != nil && m.state.Pending.Token == token {
		m.state.Pending = nil
	}
	return nil
}

func (m modelStore) Restore(_ context.Context, to, from string) error {
	s := &m.state
	switch {
	case s.Current.Token == to:
		return nil
	case s.Previous == nil || s.Previous.Token != to || s.Current.Token != from:
		return conflict("%s is current", s.Current.Token)
	}
	before := s.Current
	s.Current, s.Previous = *s.Previous, &before
	return nil
}

// A modelTarget is the database's side of a model.
type modelTarget struct{ *model }

func (m modelTarget) Strategy() rotate.Strategy { return m.strategy }

func (m modelTarget) Next(_ context.Context, current source.Credential, token string) (source.Credential, error) {
	current.Password = source.Secret{}
	switch {
	case m.strategy.Leaves:
		current.Username = "user-" + token
	case m.strategy.Reuses && current.Username == "one":
		current.Username = "two"
	case m.strategy.Reuses:
		current.Username = "one"
	}
	return current, nil
}

// late tells of a change that begins at what is not current any more.
func (m modelTarget) late(c rotate.Change) error {
	u := m.users[c.From.Username]
	if m.strategy.Leaves || u.token == "" || u.token == c.From.Version || u.token == c.Token || m.accepts(c.From) {
		return nil
	}
	return conflict("%s was changed by %s", c.From.Username, u.token)
}

func (m modelTarget) Set(_ context.Context, c rotate.Change) error {
	if err := m.late(c); err != nil {
		return err
	}
	if m.strategy.Reuses && c.From.Username == c.To.Username {
		return conflict("%s is current", c.From.Username)
	}
	u := m.users[c.To.Username]
	if u == nil {
		u = m.user(c.To.Username)
	}
	if u.spent[c.Token] {
		return fmt.Errorf("model: %s has been undone: %w", c.Token, rotate.ErrUnfit)
	}
	if u.token != "" && u.token != c.Token && u.after == c.From.Version {
		u.spent[u.token] = true
	}
	u.password, u.token, u.after = c.To.Password.Reveal(), c.Token, c.From.Version
	return nil
}

func (m modelTarget) Applied(_ context.Context, c rotate.Change) (bool, error) {
	u := m.users[c.To.Username]
	return u != nil && u.token == c.Token, nil
}

func (m modelTarget) Accepts(_ context.Context, c source.Credential) (bool, error) {
	return m.accepts(c), nil
}

func (m modelTarget) Verify(_ context.Context, c rotate.Change) error {
	if !m.accepts(c.To) {
		return fmt.Errorf("model: %s does not log in: %w", c.To.Username, rotate.ErrUnfit)
	}
	return nil
}

func (m modelTarget) Undo(_ context.Context, c rotate.Change) error {
	u := m.users[c.To.Username]
	switch {
	case u == nil:
		return nil
	case m.strategy.Leaves:
		delete(m.users, c.To.Username)
		return nil
	}
	if err := m.late(c); err != nil {
		return err
	}
	switch {
	case m.strategy.InPlace, c.From.Username == c.To.Username:
		u.password, u.token, u.after = c.From.Password.Reveal(), c.From.Version, ""
	case u.token == c.Token:
		u.password, u.token, u.after = "", "", ""
	}
	u.spent[c.Token] = true
	return nil
}

func (m modelTarget) Sessions(context.Context, string) (int, error) { return 0, nil }

func (m modelTarget) Left(_ context.Context, s rotate.State) (left []string, err error) {
	if !m.strategy.Leaves {
		return nil, nil
	}
	for name := range maps.Keys(m.users) {
		if name != s.Current.Credential.Username && (s.Pending == nil || name != s.Pending.Credential.Username) {
			left = append(left, name)
		}
	}
	slices.SortFunc(left, func(a, b string) int { return m.users[a].born - m.users[b].born })
	return left, nil
}

func (m modelTarget) Disable(_ context.Context, user string) error {
	if u := m.users[user]; u != nil {
		u.enabled = false
	}
	return nil
}

func (m modelTarget) Enable(_ context.Context, user string) error {
	u := m.users[user]
	if u == nil {
		return fmt.Errorf("model: no user %s: %w", user, rotate.ErrNothing)
	}
	u.enabled = true
	return nil
}

func (m modelTarget) Remove(_ context.Context, user string) error {
	if u := m.users[user]; u != nil && u.enabled {
		return conflict("%s may log in", user)
	}
	delete(m.users, user)
	return nil
}
