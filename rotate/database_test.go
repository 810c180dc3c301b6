package rotate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// A database is users in memory, for tests of time and of order. It keeps no more
// rules of real ones than they need; see TestEndToEnd… for those.
type database struct {
	strategy rotate.Strategy

	mu    sync.Mutex
	users map[string]*user
	born  []string // users in the order of their making
	down  error
	weak  map[string]bool
}

type user struct {
	password, before string
	token            string
	done             map[string]bool // rotations that were, or were undone
	disabled         bool
	since            time.Time
	sessions, old    int
}

var (
	single      = rotate.Strategy{Name: "single user", InPlace: true}
	alternating = rotate.Strategy{Name: "alternating users", Reuses: true}
	parallel    = rotate.Strategy{Name: "parallel role", Leaves: true}
)

func newDatabase(s rotate.Strategy) *database {
	return &database{
		strategy: s, weak: make(map[string]bool), born: []string{"one"},
		users: map[string]*user{"one": {password: "first", done: make(map[string]bool)}, "two": {done: make(map[string]bool)}},
	}
}

var firstCredential = source.Credential{Username: "one", Password: source.NewSecret("first"), Version: "first"}

func (d *database) Strategy() rotate.Strategy { return d.strategy }

func (d *database) Next(_ context.Context, current source.Credential, token string) (source.Credential, error) {
	next := source.Credential{Username: current.Username}.WithFields(fieldsOf(current))
	switch {
	case d.strategy.Leaves:
		next.Username = "user_" + token
	case d.strategy.Reuses && current.Username == "one":
		next.Username = "two"
	case d.strategy.Reuses:
		next.Username = "one"
	}
	return next, nil
}

func fieldsOf(c source.Credential) map[string]source.Secret {
	fields := make(map[string]source.Secret)
	for _, name := range c.FieldNames() {
		fields[name], _ = c.Field(name)
	}
	return fields
}

// locked runs f unless the database is down.
func (d *database) locked(ctx context.Context, f func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.down != nil {
		return d.down
	}
	return f()
}

func (d *database) Set(ctx context.Context, c rotate.Change) error {
	return d.locked(ctx, func() error {
		u := d.users[c.To.Username]
		switch {
		case u == nil:
			d.users[c.To.Username] = &user{password: c.To.Password.Reveal(), token: c.Token, done: map[string]bool{c.Token: true}}
			d.born = append(d.born, c.To.Username)
			return nil
		case u.token == c.Token:
			return nil
		case u.done[c.Token] || d.strategy.Leaves:
			return rotate.ErrConflict
		}
		u.before, u.password, u.token, u.old = u.password, c.To.Password.Reveal(), c.Token, u.sessions
		u.done[c.Token] = true
		return nil
	})
}

func (d *database) Applied(ctx context.Context, c rotate.Change) (is bool, err error) {
	err = d.locked(ctx, func() error {
		u := d.users[c.To.Username]
		is = u != nil && u.token == c.Token
		return nil
	})
	return is, err
}

func (d *database) Accepts(ctx context.Context, c source.Credential) (is bool, err error) {
	err = d.locked(ctx, func() error {
		u := d.users[c.Username]
		is = u != nil && !u.disabled && u.password != "" && u.password == c.Password.Reveal()
		return nil
	})
	return is, err
}

func (d *database) Verify(ctx context.Context, c rotate.Change) error {
	is, err := d.Accepts(ctx, c.To)
	if err == nil && (!is || d.weak[c.To.Username]) {
		err = rotate.ErrUnfit
	}
	return err
}

func (d *database) Undo(ctx context.Context, c rotate.Change) error {
	return d.locked(ctx, func() error {
		u := d.users[c.To.Username]
		switch {
		case u == nil:
		case u.token != c.Token:
			u.done[c.Token] = true
		case d.strategy.Leaves:
			delete(d.users, c.To.Username)
			d.born = slices.DeleteFunc(d.born, func(n string) bool { return n == c.To.Username })
		case d.strategy.InPlace:
			u.password, u.token = c.From.Password.Reveal(), c.From.Version
		default:
			u.password, u.token = "", ""
		}
		return nil
	})
}

func (d *database) Sessions(ctx context.Context, name string) (n int, err error) {
	err = d.locked(ctx, func() error {
		if u := d.users[name]; u != nil {
			if n = u.sessions; d.strategy.InPlace {
				n = u.old
			}
		}
		return nil
	})
	return n, err
}

func (d *database) End(ctx context.Context, name string) (n int, err error) {
	n, err = d.Sessions(ctx, name)
	return n, errors.Join(err, d.locked(ctx, func() error {
		if u := d.users[name]; u != nil {
			u.sessions, u.old = u.sessions-n, 0
		}
		return nil
	}))
}

func (d *database) Uses(ctx context.Context, name string) (uses []rotate.Use, err error) {
	err = d.locked(ctx, func() error {
		if u := d.users[name]; u != nil && u.sessions > 0 {
			uses = []rotate.Use{{Application: "service", Sessions: u.sessions, Old: u.old, Oldest: time.Unix(0, 0)}}
		}
		return nil
	})
	return uses, err
}

func (d *database) Left(ctx context.Context, s rotate.State) (left []string, err error) {
	err = d.locked(ctx, func() error {
		for _, name := range d.born {
			if d.strategy.Leaves && name != s.Current.Credential.Username && (s.Pending == nil || name != s.Pending.Credential.Username) {
				left = append(left, name)
			}
		}
		return nil
	})
	return left, err
}

func (d *database) Disable(ctx context.Context, name string) error {
	return d.able(ctx, name, true)
}

func (d *database) Enable(ctx context.Context, name string) error { return d.able(ctx, name, false) }

func (d *database) able(ctx context.Context, name string, disabled bool) error {
	return d.locked(ctx, func() error {
		u := d.users[name]
		switch {
		case u == nil && disabled:
			return nil
		case u == nil:
			return rotate.ErrNothing
		}
		if disabled && !u.disabled {
			u.since = time.Now()
		}
		u.disabled = disabled
		return nil
	})
}

func (d *database) Disabled(ctx context.Context, name string) (ago time.Duration, err error) {
	err = d.locked(ctx, func() error {
		u := d.users[name]
		if u == nil || !u.disabled {
			return rotate.ErrNothing
		}
		ago = time.Since(u.since)
		return nil
	})
	return ago, err
}

func (d *database) Remove(ctx context.Context, name string) error {
	return d.locked(ctx, func() error {
		if u := d.users[name]; u != nil && !u.disabled {
			return rotate.ErrConflict
		}
		delete(d.users, name)
		d.born = slices.DeleteFunc(d.born, func(n string) bool { return n == name })
		return nil
	})
}

// set changes the database behind everybody's back.
func (d *database) set(f func(*database)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d)
}

func newRotator(t *testing.T, d *database, change func(*rotate.Config)) (*rotate.Rotator, *memory) {
	t.Helper()
	m := newMemory(firstCredential)
	n := 0
	c := &rotate.Config{Store: m, Target: d, Generate: func() (source.Secret, error) {
		n++
		return source.NewSecret(fmt.Sprint("canary ", n, strings.Repeat("x", 16))), nil
	}}
	if change != nil {
		change(c)
	}
	r, err := rotate.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return r, m
}
