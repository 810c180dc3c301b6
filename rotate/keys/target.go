package keys

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// Config says which keys are rotated. Keeper is needed.
type Config struct {
	// Keeper is a [Registrar] or a [Drawer].
	Keeper Keeper

	// Name begins the IDs of keys that are registered. Empty: "key".
	Name string

	// Verify proves that the next key may do what it should, when the keeper has
	// accepted it. An error that wraps [rotate.ErrUnfit] speaks against the key.
	// Nil: nothing more is proven.
	Verify func(ctx context.Context, c rotate.Change) error
}

// New returns the target of keys that are valid side by side. It asks nobody yet.
func New(c *Config) (rotate.Target, error) {
	if c == nil || c.Keeper == nil {
		return nil, errors.New("keys: the configuration needs Keeper")
	}
	t := &target{keeper: c.Keeper, name: cmp.Or(c.Name, "key"), verify: c.Verify}
	t.registrar, _ = c.Keeper.(Registrar)
	t.drawer, _ = c.Keeper.(Drawer)
	if (t.registrar == nil) == (t.drawer == nil) {
		return nil, fmt.Errorf("keys: a %T should have one of the methods Register and Draw", c.Keeper)
	}
	if t.verify == nil {
		t.verify = func(context.Context, rotate.Change) error { return nil }
	}
	return t, nil
}

type target struct {
	keeper    Keeper
	name      string
	verify    func(context.Context, rotate.Change) error
	registrar Registrar // one of them is nil
	drawer    Drawer
}

func (t *target) Strategy() rotate.Strategy {
	return rotate.Strategy{Name: "parallel keys", Leaves: true}
}

// Next names the next key, or has it drawn.
func (t *target) Next(ctx context.Context, current source.Credential, token string) (source.Credential, error) {
	next := current
	if t.drawer != nil {
		if err := t.tidy(ctx, current.Username); err != nil {
			return next, err
		}
		key, err := t.drawer.Draw(ctx, label{drawn, token, current.Username}.String())
		if err != nil {
			return next, fmt.Errorf("keys: a key cannot be drawn: %w", err)
		}
		next.Username, next.Password = key.Username, key.Password
		return with(next, key), nil
	}
	sum := sha256.Sum256([]byte(token))
	next.Username, next.Password = t.name+"_"+hex.EncodeToString(sum[:8]), source.Secret{}
	if g, ok := t.registrar.(Generator); ok {
		var err error
		if next.Password, err = g.Generate(); err != nil {
			return next, fmt.Errorf("keys: a key cannot be generated: %w", err)
		}
	}
	return next, nil
}

// with adds the fields of key to those of c.
func with(c, key source.Credential) source.Credential {
	fields := make(map[string]source.Secret)
	for _, from := range []source.Credential{c, key} {
		for _, name := range from.FieldNames() {
			fields[name], _ = from.Field(name)
		}
	}
	return c.WithFields(fields)
}

// tidy deletes what was drawn and never set. That nothing else is pending is up
// to the store.
func (t *target) tidy(ctx context.Context, current string) error {
	all, err := t.list(ctx)
	if err != nil {
		return err
	}
	for _, k := range all {
		if k.mark.state == drawn && k.ID != current {
			if err := t.keeper.Delete(ctx, k.ID); err != nil {
				return fmt.Errorf("keys: key %q, which was drawn and never stored, cannot be deleted: %w", k.ID, err)
			}
		}
	}
	return nil
}

// Set registers the key, or activates what was drawn.
func (t *target) Set(ctx context.Context, c rotate.Change) error {
	for {
		k, err := t.find(ctx, c.To.Username)
		switch {
		case errors.Is(err, ErrNotFound) && t.registrar != nil:
			err := t.registrar.Register(ctx, c.To, label{set, c.Token, c.From.Username}.String())
			if errors.Is(err, ErrExists) {
				continue // now it is found
			}
			return about(c.To.Username, "it cannot be registered", err)
		case errors.Is(err, ErrNotFound):
			return fmt.Errorf("keys: key %q was undone, or taken for one that was never stored: %w", c.To.Username, rotate.ErrUnfit)
		case err != nil:
			return err
		case k.mark.token != c.Token || k.mark.state == off:
			return fmt.Errorf("keys: key %q was not made by rotation %q, or is to be removed: %w", k.ID, c.Token, rotate.ErrConflict)
		}
		if err = t.mark(ctx, k, set); err == nil && !k.Active {
			err = about(k.ID, "it cannot be activated", t.keeper.Activate(ctx, k.ID))
		}
		if errors.Is(err, ErrNotFound) {
			err = fmt.Errorf("keys: key %q was undone meanwhile: %w", k.ID, rotate.ErrUnfit)
		}
		return err
	}
}

func (t *target) Applied(ctx context.Context, c rotate.Change) (bool, error) {
	k, err := t.find(ctx, c.To.Username)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return k.mark.state == set && k.mark.token == c.Token && k.Active, err
}

func (t *target) Accepts(ctx context.Context, c source.Credential) (bool, error) {
	ok, err := t.keeper.Check(ctx, c)
	return ok, about(c.Username, "whether it is accepted cannot be found out", err)
}

func (t *target) Verify(ctx context.Context, c rotate.Change) error {
	accepted, err := t.Accepts(ctx, c.To)
	switch {
	case err != nil:
		return err
	case !accepted:
		return fmt.Errorf("keys: key %q is not accepted: %w", c.To.Username, rotate.ErrUnfit)
	}
	return about(c.To.Username, "it does not stand the proof", t.verify(ctx, c))
}

// Undo deletes the key.
func (t *target) Undo(ctx context.Context, c rotate.Change) error {
	k, err := t.find(ctx, c.To.Username)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return err
	case k.mark.token != c.Token:
		return fmt.Errorf("keys: key %q was not made by rotation %q: %w", k.ID, c.Token, rotate.ErrConflict)
	}
	return t.drop(ctx, k)
}

// about says which key an error is about.
func about(id, what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("keys: key %q: %s: %w", id, what, err)
}
