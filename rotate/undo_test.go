package rotate_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate"
)

// A stubborn database does not undo.
type stubborn struct {
	*database
	err error
}

func (s *stubborn) Undo(ctx context.Context, c rotate.Change) error {
	if s.err != nil {
		return s.err
	}
	return s.database.Undo(ctx, c)
}

// ErrUnfit says that everything is as it was, which is not so before it is undone.
func TestUnfitIsSaidWhenItIsUndone(t *testing.T) {
	for _, s := range []rotate.Strategy{single, alternating, parallel} {
		t.Run(s.Name, func(t *testing.T) {
			d := &stubborn{newDatabase(s), errors.New("the database is away")}
			r, m := newRotator(t, d.database, func(c *rotate.Config) { c.Target = d })
			_, err := r.Advance(t.Context(), "token", rotate.StepCreate)
			require.NoError(t, err)
			d.weak[m.state.Pending.Credential.Username] = true

			_, err = r.Rotate(t.Context())
			require.ErrorIs(t, err, d.err)
			require.ErrorContains(t, err, rotate.ErrUnfit.Error())
			require.NotErrorIs(t, err, rotate.ErrUnfit)
			require.NotNil(t, m.state.Pending)

			d.err = nil
			_, err = r.Rotate(t.Context())
			require.ErrorIs(t, err, rotate.ErrUnfit)
			require.Nil(t, m.state.Pending)
			is, err := d.Accepts(t.Context(), firstCredential)
			require.NoError(t, err)
			require.True(t, is)
		})
	}
}

// A rollback that leaves a current credential which the database does not accept
// says that, and not that all is as it was.
func TestRollbackFindsAMismatch(t *testing.T) {
	d := newDatabase(alternating)
	r, m := newRotator(t, d, nil)
	_, err := r.Advance(t.Context(), "token", rotate.StepCreate)
	require.NoError(t, err)
	d.users["one"].password = "by hand"
	_, err = r.Rollback(t.Context())
	require.ErrorIs(t, err, rotate.ErrMismatch)
	require.NotErrorIs(t, err, rotate.ErrUnfit)
	require.Nil(t, m.state.Pending)
}

// A rehearsal that fails on the way leaves nothing either: in place nobody could
// log in any more.
func TestRehearsalThatFailsIsUndone(t *testing.T) {
	denied := errors.New("not today")
	for _, s := range []rotate.Strategy{single, alternating, parallel} {
		for name, fail := range map[string]func(c *rotate.Config, stop func()){
			"denied": func(c *rotate.Config, _ func()) {
				c.Approve = func(context.Context, rotate.Request) (string, error) { return "", denied }
			},
			"stopped": func(c *rotate.Config, stop func()) {
				c.Audit = func(e rotate.Event) {
					if e.Step == rotate.StepSet && e.Outcome == rotate.OutcomeOK {
						stop()
					}
				}
			},
		} {
			t.Run(s.Name+"/"+name, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				d := newDatabase(s)
				r, m := newRotator(t, d, func(c *rotate.Config) { fail(c, stop) })
				_, err := r.Rehearse(ctx, rotate.StepPromote, &rotate.RehearseOptions{InPlace: true})
				require.Error(t, err)
				require.Nil(t, m.state.Pending)
				require.Equal(t, "first", m.state.Current.Token)
				is, err := d.Accepts(t.Context(), firstCredential)
				require.NoError(t, err)
				require.True(t, is)
			})
		}
	}
}

// One disables a user that another has just gone back to, and is told to stop.
func TestWhoIsCurrentAgainIsEnabledThoughTheRunIsToStop(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	d := newDatabase(parallel)
	d.set(func(d *database) { delete(d.users, "two") })
	other, m := newRotator(t, d, nil)
	r, _ := newRotator(t, d, func(c *rotate.Config) {
		c.Store = m
		c.Audit = func(e rotate.Event) {
			switch {
			case e.Step != rotate.StepDisable:
			case e.Outcome == rotate.OutcomeBegun:
				_, err := other.Rollback(t.Context())
				require.NoError(t, err)
			default:
				stop()
			}
		}
	})
	_, _ = r.Rotate(ctx) // there may be nothing left to do
	require.Equal(t, "first", m.state.Current.Token)
	is, err := d.Accepts(t.Context(), firstCredential)
	require.NoError(t, err)
	require.True(t, is)
}
