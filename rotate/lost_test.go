package rotate_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate"
)

// A mute store does what it is told, and says so to nobody: its callers wait
// until their time is over.
type mute struct {
	*memory
	promote, discard, restore bool
}

func (m *mute) Read(ctx context.Context) (rotate.State, error) {
	if err := ctx.Err(); err != nil {
		return rotate.State{}, err
	}
	return m.memory.Read(ctx)
}

func silent(ctx context.Context, is bool, err error) error {
	if is && err == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

func (m *mute) Promote(ctx context.Context, token, from string) error {
	return silent(ctx, m.promote, m.memory.Promote(ctx, token, from))
}

func (m *mute) Discard(ctx context.Context, token string) error {
	return silent(ctx, m.discard, m.memory.Discard(ctx, token))
}

func (m *mute) Restore(ctx context.Context, to, from string) error {
	return silent(ctx, m.restore, m.memory.Restore(ctx, to, from))
}

// Who repeats what was done would do more than he was asked for: rotate once
// more, or go back one version further.
func TestAnAnswerOfTheStoreIsLost(t *testing.T) {
	for _, s := range []rotate.Strategy{single, alternating, parallel} {
		t.Run(s.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &mute{promote: true}
				r, m := newRotator(t, newDatabase(s), func(c *rotate.Config) {
					store.memory = c.Store.(*memory)
					c.Store, c.StepTimeout = store, time.Minute
				})
				rotated, err := r.Advance(t.Context(), "token", rotate.StepCreate)
				require.NoError(t, err)
				_, err = r.Advance(t.Context(), "token", rotate.StepPromote)
				require.NoError(t, err)
				require.Equal(t, rotated.To, m.state.Current.Token)

				store.restore = true
				result, err := r.Rollback(t.Context())
				require.NoError(t, err)
				require.Equal(t, "first", result.To)
				require.Equal(t, "first", m.state.Current.Token)

				store.discard = true
				_, err = r.Advance(t.Context(), "another", rotate.StepCreate)
				require.NoError(t, err)
				_, err = r.Rollback(t.Context())
				require.NoError(t, err)
				require.Nil(t, m.state.Pending)
				require.Equal(t, "first", m.state.Current.Token)
			})
		})
	}
}

// The process is told to stop while the store promotes.
func TestAnAnswerIsLostAsTheRunIsToStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		store := &mute{promote: true}
		r, m := newRotator(t, newDatabase(single), func(c *rotate.Config) {
			store.memory = c.Store.(*memory)
			c.Store = store
		})
		result, err := r.Rotate(ctx)
		require.NoError(t, err)
		require.Equal(t, m.state.Current.Token, result.Rotation)
	})
}
