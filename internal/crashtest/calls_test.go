package crashtest_test

import (
	"context"
	"fmt"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// A hook runs a call of a store or a target by its name, once or more often.
type hook func(ctx context.Context, name string, call func(context.Context) error) error

// points makes the end of each call a point.
func (in *injector) points(ctx context.Context, name string, call func(context.Context) error) error {
	in.begin(name)
	err := call(ctx)
	in.at("after it")
	return err
}

// twice does everything again, which must come to the same.
func twice(ctx context.Context, name string, call func(context.Context) error) error {
	if err := call(ctx); err != nil {
		return err
	}
	if err := call(ctx); err != nil {
		return fmt.Errorf("%s, done again: %w", name, err)
	}
	return nil
}

// A hookedStore has its calls run by a hook.
type hookedStore struct {
	rotate.Store
	hook hook
}

func (s hookedStore) Read(ctx context.Context) (st rotate.State, err error) {
	err = s.hook(ctx, "Read", func(ctx context.Context) (err error) { st, err = s.Store.Read(ctx); return err })
	return st, err
}

func (s hookedStore) Create(ctx context.Context, token string, next source.Credential) error {
	return s.hook(ctx, "Create", func(ctx context.Context) error { return s.Store.Create(ctx, token, next) })
}

func (s hookedStore) Promote(ctx context.Context, token, from string) error {
	return s.hook(ctx, "Promote", func(ctx context.Context) error { return s.Store.Promote(ctx, token, from) })
}

func (s hookedStore) Discard(ctx context.Context, token string) error {
	return s.hook(ctx, "Discard", func(ctx context.Context) error { return s.Store.Discard(ctx, token) })
}

func (s hookedStore) Restore(ctx context.Context, to, from string) error {
	return s.hook(ctx, "Restore", func(ctx context.Context) error { return s.Store.Restore(ctx, to, from) })
}

// A hookedTarget has its calls run by a hook.
type hookedTarget struct {
	rotate.Target
	hook hook
}

func (t hookedTarget) Next(ctx context.Context, current source.Credential, token string) (c source.Credential, err error) {
	err = t.hook(ctx, "Next", func(ctx context.Context) (err error) { c, err = t.Target.Next(ctx, current, token); return err })
	return c, err
}

func (t hookedTarget) Set(ctx context.Context, c rotate.Change) error {
	return t.hook(ctx, "Set", func(ctx context.Context) error { return t.Target.Set(ctx, c) })
}

func (t hookedTarget) Applied(ctx context.Context, c rotate.Change) (ok bool, err error) {
	err = t.hook(ctx, "Applied", func(ctx context.Context) (err error) { ok, err = t.Target.Applied(ctx, c); return err })
	return ok, err
}

func (t hookedTarget) Accepts(ctx context.Context, c source.Credential) (ok bool, err error) {
	err = t.hook(ctx, "Accepts", func(ctx context.Context) (err error) { ok, err = t.Target.Accepts(ctx, c); return err })
	return ok, err
}

func (t hookedTarget) Verify(ctx context.Context, c rotate.Change) error {
	return t.hook(ctx, "Verify", func(ctx context.Context) error { return t.Target.Verify(ctx, c) })
}

func (t hookedTarget) Undo(ctx context.Context, c rotate.Change) error {
	return t.hook(ctx, "Undo", func(ctx context.Context) error { return t.Target.Undo(ctx, c) })
}

func (t hookedTarget) Sessions(ctx context.Context, user string) (n int, err error) {
	err = t.hook(ctx, "Sessions", func(ctx context.Context) (err error) { n, err = t.Target.Sessions(ctx, user); return err })
	return n, err
}

func (t hookedTarget) Left(ctx context.Context, s rotate.State) (left []string, err error) {
	err = t.hook(ctx, "Left", func(ctx context.Context) (err error) { left, err = t.Target.Left(ctx, s); return err })
	return left, err
}

func (t hookedTarget) Disable(ctx context.Context, user string) error {
	return t.hook(ctx, "Disable", func(ctx context.Context) error { return t.Target.Disable(ctx, user) })
}

func (t hookedTarget) Enable(ctx context.Context, user string) error {
	return t.hook(ctx, "Enable", func(ctx context.Context) error { return t.Target.Enable(ctx, user) })
}

func (t hookedTarget) Remove(ctx context.Context, user string) error {
	return t.hook(ctx, "Remove", func(ctx context.Context) error { return t.Target.Remove(ctx, user) })
}

func (t hookedTarget) Discard(ctx context.Context, s rotate.State) error {
	return t.hook(ctx, "Discard", func(ctx context.Context) error { return t.Target.(rotate.Discarder).Discard(ctx, s) })
}
