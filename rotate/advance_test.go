package rotate_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate"
)

// Each step of Advance is asked for as often as its scheduler likes.
func TestAdvance(t *testing.T) {
	for _, s := range []rotate.Strategy{single, alternating, parallel} {
		t.Run(s.Name, func(t *testing.T) {
			d := newDatabase(s)
			verified := 0
			r, m := newRotator(t, d, func(c *rotate.Config) {
				c.Audit = func(e rotate.Event) {
					if e.Step == rotate.StepVerify && e.Outcome == rotate.OutcomeOK {
						verified++
					}
				}
			})
			for i, token := range []string{"token one", "token two"} {
				_, err := r.Advance(t.Context(), token, rotate.StepSet)
				require.ErrorIs(t, err, rotate.ErrConflict, "nothing is created")
				for _, step := range []rotate.Step{rotate.StepCreate, rotate.StepSet, rotate.StepVerify, rotate.StepPromote} {
					for range 2 {
						result, err := r.Advance(t.Context(), token, step)
						require.NoError(t, err)
						if m.promoted == i {
							require.Equal(t, token, result.Rotation)
						}
					}
					_, err := r.Advance(t.Context(), "another", rotate.StepCreate)
					if m.promoted == i {
						require.ErrorIs(t, err, rotate.ErrConflict)
					} else {
						require.NoError(t, err)
						require.NoError(t, m.Discard(t.Context(), "another"))
					}
				}
				require.Equal(t, i+1, m.promoted)
				require.Equal(t, token, m.state.Current.Token)
				require.Positive(t, verified)
				is, err := d.Accepts(t.Context(), m.state.Current.Credential)
				require.NoError(t, err)
				require.True(t, is)
			}
			for _, step := range []rotate.Step{"", rotate.StepDrain, "no such"} {
				_, err := r.Advance(t.Context(), "token", step)
				require.Error(t, err)
			}
			_, err := r.Advance(t.Context(), "", rotate.StepCreate)
			require.Error(t, err)
		})
	}
}

func TestAdvanceTakesOneStep(t *testing.T) {
	d := newDatabase(parallel)
	r, m := newRotator(t, d, nil)
	exists := func() bool { return d.users["user_token"] != nil }
	for _, want := range []struct {
		step          rotate.Step
		set, promoted bool
	}{{rotate.StepCreate, false, false}, {rotate.StepSet, true, false}, {rotate.StepVerify, true, false}, {rotate.StepPromote, true, true}} {
		_, err := r.Advance(t.Context(), "token", want.step)
		require.NoError(t, err)
		require.Equal(t, want.set, exists(), want.step)
		require.Equal(t, want.promoted, m.promoted == 1, want.step)
	}
}

// Whoever approves is asked once, when it matters.
func TestAdvanceAsksForApprovalOnce(t *testing.T) {
	for _, want := range []struct {
		rotate.Strategy
		with rotate.Step
	}{{single, rotate.StepSet}, {alternating, rotate.StepPromote}, {parallel, rotate.StepPromote}} {
		t.Run(want.Name, func(t *testing.T) {
			var asked []rotate.Step
			var with rotate.Step
			r, _ := newRotator(t, newDatabase(want.Strategy), func(c *rotate.Config) {
				c.Approve = func(context.Context, rotate.Request) (string, error) {
					asked = append(asked, with)
					return "alice", nil
				}
			})
			for _, with = range []rotate.Step{rotate.StepCreate, rotate.StepSet, rotate.StepVerify, rotate.StepPromote} {
				_, err := r.Advance(t.Context(), "token", with)
				require.NoError(t, err)
			}
			require.Equal(t, []rotate.Step{want.with}, asked)
		})
	}
}

// An approval that comes too late is none, even if whoever was asked does not look
// at the time.
func TestApprovalComesTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, m := newRotator(t, newDatabase(single), func(c *rotate.Config) {
			c.ApproveTimeout = time.Hour
			c.Approve = func(context.Context, rotate.Request) (string, error) {
				time.Sleep(2 * time.Hour)
				return "alice", nil
			}
		})
		result, err := r.Rotate(t.Context())
		require.ErrorIs(t, err, rotate.ErrDenied)
		require.Empty(t, result.Approver)
		require.Zero(t, m.promoted)
	})
}
