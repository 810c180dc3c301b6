package keys_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/internal/cut"
	"github.com/rekey-go/rekey/rotate/keys"
	"github.com/rekey-go/rekey/source"
)

// A key whose drawing nobody has heard of is found by its label and deleted, and
// nothing else is.
func TestOrphan(t *testing.T) {
	h := newHouse(t)
	target := h.target(kinds["Drawer"], &h.line)
	ctx := t.Context()
	for _, draws := range []int{2, 3, 3} { // after a listing and, from then on, a deletion
		hit := h.line.Fail(t, draws, true)
		_, err := target.Next(ctx, h.first, "lost")
		require.Error(t, err)
		require.True(t, hit())
		require.Len(t, h.service.keys, 3)
	}
	next, err := target.Next(ctx, h.first, "token")
	require.NoError(t, err)
	require.Len(t, h.service.keys, 3)
	require.Contains(t, h.service.keys, next.Username)

	next.Version = "token"
	c := rotate.Change{Token: "token", From: h.first, To: next}
	require.NoError(t, target.Set(ctx, c))
	_, err = target.Next(ctx, next, "the one after")
	require.NoError(t, err)
	require.Len(t, h.service.keys, 4, "what was set stays")
}

// A set that wakes up while its key is being retired does not activate it.
func TestLateSetOfRetiredKey(t *testing.T) {
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			target := h.target(kind, &h.line)
			var changes []rotate.Change
			from := h.first
			for _, token := range []string{"one", "two"} {
				to, err := target.Next(t.Context(), from, token)
				require.NoError(t, err)
				if to.Password.IsEmpty() {
					to.Password = source.NewSecret("canary-" + token)
				}
				to.Version = token
				changes = append(changes, rotate.Change{Token: token, From: from, To: to})
				require.NoError(t, target.Set(t.Context(), changes[len(changes)-1]))
				from = to
			}
			one := changes[0].To
			require.NoError(t, target.Disable(t.Context(), one.Username))
			require.ErrorIs(t, target.Set(t.Context(), changes[0]), rotate.ErrConflict)
			accepted, err := target.Accepts(t.Context(), one)
			require.NoError(t, err)
			require.False(t, accepted)
		})
	}
}

// Keys that no rotation has to do with are never left behind, not even beside
// those that are.
func TestOthersKeys(t *testing.T) {
	h := newHouse(t)
	target := h.target(kinds["Registrar"], &h.line)
	to, err := target.Next(t.Context(), h.first, "token")
	require.NoError(t, err)
	to.Password = source.NewSecret("canary-next")
	require.NoError(t, target.Set(t.Context(), rotate.Change{Token: "token", From: h.first, To: to}))
	left, err := target.Left(t.Context(), rotate.State{Current: rotate.Version{Token: "token", Credential: to}})
	require.NoError(t, err)
	require.Equal(t, []string{h.first.Username}, left)
	for _, call := range []error{
		target.Disable(t.Context(), "another's"), target.Enable(t.Context(), "another's"), target.Remove(t.Context(), "another's"),
	} {
		require.ErrorIs(t, call, rotate.ErrConflict)
	}
	require.True(t, h.service.keys["another's"].Active)
}

func TestNew(t *testing.T) {
	h := newHouse(t)
	k := h.keeper(new(cut.Transport))
	for _, c := range []*keys.Config{nil, {}, {Keeper: k}, {Keeper: both{keeper: k, registrar: registrar{k}, drawer: drawer{k}}}} {
		_, err := keys.New(c)
		require.Error(t, err)
	}
}

// both registers and draws, which is one too many.
type both struct {
	*keeper
	registrar registrar
	drawer    drawer
}

func (b both) Register(ctx context.Context, key source.Credential, label string) error {
	return b.registrar.Register(ctx, key, label)
}

func (b both) Draw(ctx context.Context, label string) (source.Credential, error) {
	return b.drawer.Draw(ctx, label)
}
