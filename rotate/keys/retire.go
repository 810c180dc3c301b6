package keys

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/rekey-go/rekey/rotate"
)

// A marked key is one with its label read.
type marked struct {
	Key
	mark  label
	heir  bool // an active key of a rotation came after it
	depth int  // how many came before it
}

// ours reports whether a rotation has made the key, or replaced it.
func (k marked) ours() bool { return k.mark.state != foreign || k.heir }

// list returns the keys, oldest first.
func (t *target) list(ctx context.Context) ([]marked, error) {
	keys, err := t.keeper.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("keys: they cannot be listed: %w", err)
	}
	all, at := make([]marked, len(keys)), make(map[string]int)
	for i, k := range keys {
		all[i], at[k.ID] = marked{Key: k, mark: parseLabel(k.Label)}, i
	}
	for i := range all {
		for id := all[i].mark.after; all[i].depth < len(all); all[i].depth++ { // labels may go round
			before, ok := at[id]
			if !ok {
				break
			}
			id = all[before].mark.after
		}
		if before, ok := at[all[i].mark.after]; ok && all[i].Active && all[i].mark.state == set {
			all[before].heir = true
		}
	}
	slices.SortFunc(all, func(a, b marked) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.depth, b.depth), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

// find returns an error that wraps [ErrNotFound] if there is no such key.
func (t *target) find(ctx context.Context, id string) (marked, error) {
	all, err := t.list(ctx)
	if err != nil {
		return marked{}, err
	}
	return pick(all, id)
}

func pick(all []marked, id string) (marked, error) {
	for _, k := range all {
		if k.ID == id {
			return k, nil
		}
	}
	return marked{}, fmt.Errorf("keys: key %q: %w", id, ErrNotFound)
}

// mark writes another state into the label of a key, if it is another.
func (t *target) mark(ctx context.Context, k marked, s state) error {
	if k.mark.state == s {
		return nil
	}
	k.mark.state = s
	return about(k.ID, "it cannot be labelled", t.keeper.Label(ctx, k.ID, k.mark.String()))
}

// Sessions asks an [Observer].
func (t *target) Sessions(ctx context.Context, id string) (int, error) {
	if _, err := t.find(ctx, id); err != nil {
		if errors.Is(err, ErrNotFound) {
			return 0, nil
		}
		return 0, err
	}
	o, ok := t.keeper.(Observer)
	if !ok {
		return 0, nil
	}
	n, err := o.InUse(ctx, id)
	return n, about(id, "whether it is in use cannot be found out", err)
}

func (t *target) Left(ctx context.Context, s rotate.State) ([]string, error) {
	all, err := t.list(ctx)
	if err != nil {
		return nil, err
	}
	var left []string
	for _, k := range all {
		pending := s.Pending != nil && k.ID == s.Pending.Credential.Username
		if k.ours() && k.mark.state != drawn && k.ID != s.Current.Credential.Username && !pending {
			left = append(left, k.ID)
		}
	}
	return left, nil
}

// Disable labels the key first, so that a set that comes too late does not
// activate it again.
func (t *target) Disable(ctx context.Context, id string) error {
	all, err := t.list(ctx)
	if err != nil {
		return err
	}
	k, err := pick(all, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case !k.ours():
		return fmt.Errorf("keys: key %q has nothing to do with rotations: %w", id, rotate.ErrConflict)
	}
	if err := t.keep(ctx, all, k); err != nil {
		return err
	}
	if err := t.mark(ctx, k, off); err != nil || !k.Active {
		return unless(ErrNotFound, err)
	}
	return unless(ErrNotFound, about(id, "it cannot be deactivated", t.keeper.Deactivate(ctx, id)))
}

// keep labels the key before k, which only the label of k, soon gone, names.
func (t *target) keep(ctx context.Context, all []marked, k marked) error {
	for _, before := range all {
		if before.ID == k.mark.after && before.mark.state == foreign {
			return unless(ErrNotFound, t.mark(ctx, before, set))
		}
	}
	return nil
}

// unless returns err if it is not of a kind.
func unless(kind, err error) error {
	if errors.Is(err, kind) {
		return nil
	}
	return err
}

func (t *target) Enable(ctx context.Context, id string) error {
	k, err := t.find(ctx, id)
	switch {
	case err == nil && !k.ours():
		err = fmt.Errorf("keys: key %q has nothing to do with rotations: %w", id, rotate.ErrConflict)
	case err == nil: // even if it is active: it is not to be retired any more
		err = about(id, "it cannot be activated", t.keeper.Activate(ctx, id))
	}
	if err == nil {
		err = t.mark(ctx, k, set)
	}
	if errors.Is(err, ErrNotFound) {
		err = fmt.Errorf("keys: key %q is gone: %w", id, rotate.ErrNothing)
	}
	return err
}

func (t *target) Remove(ctx context.Context, id string) error {
	k, err := t.find(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return err
	case k.mark.state != off || k.Active:
		return fmt.Errorf("keys: key %q is not disabled by a rotation: %w", id, rotate.ErrConflict)
	}
	return t.drop(ctx, k)
}

func (t *target) drop(ctx context.Context, k marked) error {
	return unless(ErrNotFound, about(k.ID, "it cannot be deleted", t.keeper.Delete(ctx, k.ID)))
}
