package rotate_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// Revoke leaves nothing of what others know.
func TestRevoke(t *testing.T) {
	for _, s := range []rotate.Strategy{single, alternating, parallel} {
		t.Run(s.Name, func(t *testing.T) {
			d := newDatabase(s)
			d.users["one"].sessions = 3
			d.users["two"].sessions = 2
			var forced []string
			r, m := newRotator(t, d, func(c *rotate.Config) {
				c.DrainTimeout, c.Grace = time.Hour, time.Hour
				c.Audit = func(e rotate.Event) {
					if e.Forced != "" {
						forced = append(forced, e.Forced)
					}
				}
			})
			_, err := r.Revoke(t.Context(), "")
			require.Error(t, err, "it has no reason")
			result, err := r.Revoke(t.Context(), "it was in a public log")
			require.NoError(t, err)
			require.Equal(t, "first", result.From)
			require.Equal(t, m.state.Current.Token, result.Rotation)
			is, err := d.Accepts(t.Context(), firstCredential)
			require.NoError(t, err)
			require.False(t, is)
			if u := d.users["one"]; u != nil {
				require.Zero(t, u.old)
			}
			if s != single {
				require.Equal(t, forced, result.Forced)
				require.Contains(t, forced[0], "it was in a public log")
			}
			status, err := r.Status(t.Context())
			require.NoError(t, err)
			require.True(t, status.Current.Accepted)
			require.Empty(t, status.Left)
		})
	}
}

// A rotation that is undone while it is promoted gives the store back what was.
func TestPromotedAndUndoneAtOnce(t *testing.T) {
	for _, s := range []rotate.Strategy{single, alternating, parallel} {
		t.Run(s.Name, func(t *testing.T) {
			d := newDatabase(s)
			var m *memory
			r, m := newRotator(t, d, func(c *rotate.Config) {
				c.Audit = func(e rotate.Event) {
					if e.Step != rotate.StepPromote || e.Outcome != rotate.OutcomeBegun {
						return
					}
					// Another has decided to undo it, and comes as far as the database.
					p := *m.state.Pending
					require.NoError(t, d.Undo(t.Context(), rotate.Change{Token: p.Token, From: firstCredential, To: p.Credential}))
				}
			})
			_, err := r.Rotate(t.Context())
			require.ErrorIs(t, err, rotate.ErrConflict)
			require.Equal(t, "first", m.state.Current.Token)
			status, err := r.Status(t.Context())
			require.NoError(t, err)
			require.True(t, status.Current.Accepted)
		})
	}
}

// The same, seen by the one who undoes: he dies, or lives, after Undo.
func TestUndoneWhilePromoted(t *testing.T) {
	for _, s := range []rotate.Strategy{single, alternating, parallel} {
		t.Run(s.Name, func(t *testing.T) {
			d := newDatabase(s)
			var m *memory
			r, m := newRotator(t, d, func(c *rotate.Config) {
				c.Audit = func(e rotate.Event) {
					if e.Step == rotate.StepDiscard && e.Outcome == rotate.OutcomeBegun {
						require.NoError(t, m.Promote(t.Context(), m.state.Pending.Token, "first"))
					}
				}
			})
			_, err := r.Advance(t.Context(), "token", rotate.StepCreate)
			require.NoError(t, err)
			_, err = r.Advance(t.Context(), "token", rotate.StepSet)
			require.NoError(t, err)
			_, err = r.Rollback(t.Context())
			require.ErrorIs(t, err, rotate.ErrConflict)
			require.Equal(t, "first", m.state.Current.Token)
			is, err := d.Accepts(t.Context(), firstCredential)
			require.NoError(t, err)
			require.True(t, is)
		})
	}
}

// What an operator writes meanwhile is what counts.
func TestOverwrittenWhilePending(t *testing.T) {
	for _, s := range []rotate.Strategy{single, alternating, parallel} {
		for _, at := range []rotate.Step{rotate.StepSet, rotate.StepVerify} {
			t.Run(s.Name+" "+string(at), func(t *testing.T) {
				d := newDatabase(s)
				var m *memory
				written := source.Credential{Username: "one", Password: source.NewSecret("by hand"), Version: "an operator's"}
				r, m := newRotator(t, d, func(c *rotate.Config) {
					c.Audit = func(e rotate.Event) {
						if e.Step == at && e.Outcome == rotate.OutcomeOK && m.state.Current.Token == "first" {
							m.state.Current = rotate.Version{Token: written.Version, Credential: written}
							d.set(func(d *database) { d.users["one"].password = "by hand" })
						}
					}
				})
				_, err := r.Rotate(t.Context())
				require.ErrorIs(t, err, rotate.ErrConflict)
				require.NotErrorIs(t, err, rotate.ErrUnfit)
				require.Equal(t, "an operator's", m.state.Current.Token)
				require.Nil(t, m.state.Pending)
				is, err := d.Accepts(t.Context(), written)
				require.NoError(t, err)
				require.True(t, is)
				_, err = r.Rotate(t.Context())
				require.NoError(t, err)
			})
		}
	}
}

func TestHistory(t *testing.T) {
	r, _ := newRotator(t, newDatabase(alternating), nil)
	_, err := r.Rotate(t.Context())
	require.NoError(t, err)
	result, err := r.Rotate(t.Context())
	require.NoError(t, err)
	_, err = r.Advance(t.Context(), "token", rotate.StepCreate)
	require.NoError(t, err)
	records, err := r.History(t.Context())
	require.NoError(t, err)
	require.Equal(t, []rotate.Stage{rotate.StagePrevious, rotate.StageCurrent, rotate.StagePending}, []rotate.Stage{records[0].Stage, records[1].Stage, records[2].Stage})
	require.Equal(t, []string{result.From, result.To, "token"}, []string{records[0].Token, records[1].Token, records[2].Token})
	require.Equal(t, []string{"two", "one", "two"}, []string{records[0].User, records[1].User, records[2].User})
}

func TestConsumers(t *testing.T) {
	d := newDatabase(alternating)
	d.users["one"].sessions = 3
	r, _ := newRotator(t, d, func(c *rotate.Config) { c.Consumers = []string{"report", "service"} })
	_, err := r.Rotate(t.Context())
	require.NoError(t, err)
	d.users["two"].sessions = 2
	status, err := r.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, []rotate.Consumer{
		{Application: "report", Expected: true},
		{Application: "service", Expected: true, Sessions: 5, Behind: 3, Oldest: time.Unix(0, 0)},
	}, status.Consumers)
}

// Where others draw what is secret, it is theirs that is stored; and only fields
// that a rotation changes.
func TestNextMayDrawThePassword(t *testing.T) {
	d := &drawing{database: newDatabase(parallel)}
	m := newMemory(firstCredential.WithFields(map[string]source.Secret{"host": source.NewSecret("db"), "id": source.NewSecret("1")}))
	r, err := rotate.New(&rotate.Config{Store: m, Target: d, Generate: func() (source.Secret, error) {
		return source.Secret{}, fmt.Errorf("it is drawn elsewhere")
	}})
	require.NoError(t, err)
	_, err = r.Rotate(t.Context())
	require.NoError(t, err)
	require.Equal(t, "drawn by others", m.state.Current.Credential.Password.Reveal())
	require.Equal(t, []string{"id"}, m.created.FieldNames())
}

type drawing struct{ *database }

func (d *drawing) Next(ctx context.Context, current source.Credential, token string) (source.Credential, error) {
	next, err := d.database.Next(ctx, current, token)
	next.Password = source.NewSecret("drawn by others")
	fields := fieldsOf(current)
	fields["id"] = source.NewSecret("2")
	return next.WithFields(fields), err
}

// Two rotators without a lock: one looks for users that are left behind while the
// other, who has begun in the meantime, makes one.
func TestAUserThatIsPendingIsNotRetired(t *testing.T) {
	d := newDatabase(parallel)
	other, m := newRotator(t, d, nil)
	begun := false
	r, _ := newRotator(t, d, func(c *rotate.Config) {
		c.Store = m
		c.Target = beforeLeft{d, func() {
			if begun {
				return
			}
			begun = true
			for _, step := range []rotate.Step{rotate.StepCreate, rotate.StepSet} {
				_, err := other.Advance(t.Context(), "other", step)
				require.NoError(t, err)
			}
		}}
	})
	_, err := r.Rotate(t.Context())
	require.ErrorIs(t, err, rotate.ErrConflict)
	is, err := d.Accepts(t.Context(), m.state.Pending.Credential)
	require.NoError(t, err)
	require.True(t, is, "the other's user is still there")
	_, err = other.Rotate(t.Context())
	require.NoError(t, err)
}

// A beforeLeft does something before users are looked for.
type beforeLeft struct {
	*database
	do func()
}

func (b beforeLeft) Left(ctx context.Context, s rotate.State) ([]string, error) {
	b.do()
	return b.database.Left(ctx, s)
}

// One waits for sessions to end before it retires a user, and another goes back to
// that user.
func TestAUserThatIsCurrentAgainIsNotRetired(t *testing.T) {
	for _, at := range []rotate.Step{rotate.StepDrain, rotate.StepDisable} {
		for _, outcome := range []rotate.Outcome{rotate.OutcomeBegun, rotate.OutcomeOK} {
			t.Run(fmt.Sprint(at, " ", outcome), func(t *testing.T) {
				d := newDatabase(parallel)
				other, m := newRotator(t, d, nil)
				r, _ := newRotator(t, d, func(c *rotate.Config) {
					c.Store = m
					c.Audit = func(e rotate.Event) {
						if e.Step == at && e.Outcome == outcome && e.User == "one" && m.state.Current.Token != "first" {
							_, err := other.Rollback(t.Context())
							require.NoError(t, err)
						}
					}
				})
				d.set(func(d *database) { delete(d.users, "two"); d.born = []string{"one"} })
				_, _ = r.Rotate(t.Context()) // may find a conflict
				is, err := d.Accepts(t.Context(), firstCredential)
				require.NoError(t, err)
				require.True(t, is)
				require.Equal(t, "first", m.state.Current.Token)
				_, err = other.Rotate(t.Context())
				require.NoError(t, err)
			})
		}
	}
}

// A rotation that another one follows at once has succeeded all the same.
func TestAnotherRotationFollowsAtOnce(t *testing.T) {
	d := newDatabase(single)
	other, m := newRotator(t, d, nil)
	r, _ := newRotator(t, d, func(c *rotate.Config) {
		c.Store = m
		c.Audit = func(e rotate.Event) {
			if e.Step == rotate.StepPromote && e.Outcome == rotate.OutcomeOK {
				_, err := other.Advance(t.Context(), "other", rotate.StepCreate)
				require.NoError(t, err)
			}
		}
	})
	result, err := r.Rotate(t.Context())
	require.NoError(t, err)
	require.Equal(t, m.state.Current.Token, result.Rotation)
	require.Equal(t, "other", m.state.Pending.Token)
}

// What another has undone meanwhile needs no undoing.
func TestDiscardedByAnother(t *testing.T) {
	d := newDatabase(parallel)
	var m *memory
	r, m := newRotator(t, d, func(c *rotate.Config) {
		c.Audit = func(e rotate.Event) {
			if e.Step == rotate.StepSet && e.Outcome == rotate.OutcomeOK {
				require.NoError(t, m.Discard(t.Context(), e.Rotation))
			}
		}
	})
	_, err := r.Rehearse(t.Context(), rotate.StepPromote, nil)
	require.NoError(t, err)
	require.Equal(t, "first", m.state.Current.Token)
}

// Undo goes no further back than the rotation that is under way.
func TestUndo(t *testing.T) {
	for _, s := range []rotate.Strategy{single, alternating, parallel} {
		t.Run(s.Name, func(t *testing.T) {
			d := newDatabase(s)
			r, m := newRotator(t, d, nil)
			result, err := r.Rotate(t.Context())
			require.NoError(t, err)
			_, err = r.Advance(t.Context(), "token", rotate.StepCreate)
			require.NoError(t, err)
			_, err = r.Advance(t.Context(), "token", rotate.StepSet)
			require.NoError(t, err)
			for range 2 {
				_, err = r.Undo(t.Context())
				require.NoError(t, err)
				require.Equal(t, result.To, m.state.Current.Token)
				require.Nil(t, m.state.Pending)
				is, err := d.Accepts(t.Context(), m.state.Current.Credential)
				require.NoError(t, err)
				require.True(t, is)
			}
		})
	}
}
