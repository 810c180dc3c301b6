package rotate_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/pool/verify"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/generate"
	"github.com/rekey-go/rekey/rotate/postgres"
	"github.com/rekey-go/rekey/source"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// A scene is a secret in memory, its users on a real server, and a rotator with
// no more rights than package rotate/postgres lists.
type scene struct {
	t      *testing.T
	db     *pgtest.DB
	store  *memory
	config *rotate.Config
	admin  *postgres.Config
}

var strategies = map[string]func(*postgres.Config, *pgtest.DB) (rotate.Target, error){
	"single user": func(c *postgres.Config, _ *pgtest.DB) (rotate.Target, error) { return postgres.SingleUser(c) },
	"alternating users": func(c *postgres.Config, db *pgtest.DB) (rotate.Target, error) {
		return postgres.Alternating(c, db.Role("one"), db.Role("two"))
	},
	"parallel role": func(c *postgres.Config, db *pgtest.DB) (rotate.Target, error) {
		return postgres.ParallelRole(c, db.Group)
	},
}

// each runs a test for every strategy.
func each(t *testing.T, test func(*testing.T, *scene)) {
	for name, open := range strategies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newScene(t, open))
		})
	}
}

func newScene(t *testing.T, open func(*postgres.Config, *pgtest.DB) (rotate.Target, error)) *scene {
	t.Helper()
	db := pgtest.Database(t)
	one, two, rotator := db.Role("one"), db.Role("two"), db.Role("rotator")
	db.CreateUser(one, "first")
	db.CreateUser(two, "nobody's")
	db.CreateUser(rotator, "rotator's")
	for _, statement := range []string{
		"alter role %[1]s set role to %[4]s", "alter role %[2]s set role to %[4]s", "alter role %[3]s createrole",
		"grant %[1]s, %[2]s, %[4]s to %[3]s with admin option", "grant pg_read_all_stats to %[3]s",
	} {
		require.NoError(t, db.Server.Exec(t.Context(), fmt.Sprintf(statement+" -- %[1]s %[2]s %[3]s %[4]s",
			pgserver.QuoteIdent(one), pgserver.QuoteIdent(two), pgserver.QuoteIdent(rotator), pgserver.QuoteIdent(db.Group))))
	}
	login, err := pgx.ParseConfig(db.DSN)
	require.NoError(t, err)
	s := &scene{t: t, db: db, store: newMemory(source.Credential{Username: one, Password: source.NewSecret("first"), Version: "first"})}
	s.admin = &postgres.Config{
		Admin: func(ctx context.Context) (*pgx.Conn, error) {
			config := login.Copy()
			config.User, config.Password = rotator, "rotator's"
			return pgx.ConnectConfig(ctx, config)
		},
		Login: login, Verify: verify.Privileges(verify.On("orders", "select")),
	}
	target, err := open(s.admin, db)
	require.NoError(t, err)
	s.config = &rotate.Config{
		Store: s.store, Target: target, Poll: 5 * time.Millisecond, DrainTimeout: time.Minute,
		Generate: func() (source.Secret, error) { return generate.Password(nil) },
	}
	return s
}

func (s *scene) rotator() *rotate.Rotator {
	s.t.Helper()
	r, err := rotate.New(s.config)
	require.NoError(s.t, err)
	return r
}

// sound checks that the secret can be used and nothing is under way.
func (s *scene) sound() rotate.Status {
	s.t.Helper()
	status, err := s.rotator().Status(s.t.Context())
	require.NoError(s.t, err)
	require.True(s.t, status.Current.Accepted)
	require.Nil(s.t, status.Pending)
	require.Empty(s.t, status.Mismatch)
	return status
}

func TestEndToEndRollback(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		first, err := s.rotator().Rehearse(t.Context(), rotate.StepPromote, &rotate.RehearseOptions{InPlace: true})
		require.NoError(t, err)
		require.Equal(t, "first", first.From)
		require.Equal(t, "first", s.sound().Current.Token)

		// Somebody still uses the first version when the second is rolled back.
		s.breakOff(rotate.StepPromote, (*rotate.Rotator).Rotate)
		require.NotEqual(t, "first", s.sound().Current.Token)
		back, err := s.rotator().Rollback(t.Context())
		require.NoError(t, err)
		require.Equal(t, "first", back.To)
		require.Equal(t, "first", s.sound().Current.Token)

		for range 2 {
			_, err = s.rotator().Rotate(t.Context())
			require.NoError(t, err)
			require.Empty(t, s.sound().Left)
		}
	})
}

// A rollback that is broken off between database and store is finished by the
// next rotation, by the next rollback, or by Finish.
func TestEndToEndRollbackBrokenOff(t *testing.T) {
	for name, next := range map[string]func(*rotate.Rotator, context.Context) (rotate.Result, error){
		"rotate": (*rotate.Rotator).Rotate, "roll back": (*rotate.Rotator).Rollback, "finish": (*rotate.Rotator).Finish,
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, s *scene) {
				s.breakOff(rotate.StepPromote, (*rotate.Rotator).Rotate)
				s.breakOff(rotate.StepUndo, (*rotate.Rotator).Rollback)
				_, err := next(s.rotator(), t.Context())
				require.NoError(t, err)
				s.sound()
				_, err = s.rotator().Rotate(t.Context())
				require.NoError(t, err)
				s.sound()
			})
		})
	}
}

// The same, but a rotation has begun meanwhile.
func TestEndToEndRollbackCrossed(t *testing.T) {
	const token = "11111111-1111-4111-8111-111111111111"
	begin := func(t *testing.T, s *scene, steps ...rotate.Step) {
		for _, step := range steps {
			_, err := s.rotator().Advance(t.Context(), token, step)
			require.NoError(t, err)
		}
	}
	for name, cross := range map[string]func(*testing.T, *scene){
		"single user": func(t *testing.T, s *scene) {
			s.breakOff(rotate.StepPromote, (*rotate.Rotator).Rotate)
			s.breakOff(rotate.StepUndo, (*rotate.Rotator).Rollback)
			next := s.store.state.Current.Credential
			next.Password, next.Version = source.NewSecret("the next"), token
			require.NoError(t, s.store.Create(t.Context(), token, next))
		},
		"alternating users": func(t *testing.T, s *scene) {
			s.breakOff(rotate.StepPromote, (*rotate.Rotator).Rotate)
			begin(t, s, rotate.StepCreate)
			require.NoError(t, s.store.Restore(t.Context(), s.store.state.Previous.Token, s.store.state.Current.Token))
		},
		"alternating users, set": func(t *testing.T, s *scene) {
			s.breakOff(rotate.StepPromote, (*rotate.Rotator).Rotate)
			begin(t, s, rotate.StepCreate, rotate.StepSet)
			require.NoError(t, s.store.Restore(t.Context(), s.store.state.Previous.Token, s.store.state.Current.Token))
		},
	} {
		strategy, _, _ := strings.Cut(name, ",")
		for what, next := range map[string]func(*rotate.Rotator, context.Context) (rotate.Result, error){
			"rotate": (*rotate.Rotator).Rotate, "roll back": (*rotate.Rotator).Rollback,
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				t.Parallel()
				s := newScene(t, strategies[strategy])
				cross(t, s)
				_, err := next(s.rotator(), t.Context())
				require.NoError(t, err)
				s.sound()
				_, err = s.rotator().Rotate(t.Context())
				require.NoError(t, err)
				s.sound()
			})
		}
	}
}

// breakOff ends a run when a step has ended well.
func (s *scene) breakOff(step rotate.Step, do func(*rotate.Rotator, context.Context) (rotate.Result, error)) {
	ctx, crash := context.WithCancel(s.t.Context())
	s.config.Audit = func(e rotate.Event) {
		if e.Step == step && e.Outcome == rotate.OutcomeOK {
			crash()
		}
	}
	_, _ = do(s.rotator(), ctx)
	s.config.Audit = nil
	require.Error(s.t, ctx.Err(), "it never came to the end of %s", step)
}

// Of rotators that begin at once one works, and all come to an end.
func TestEndToEndRace(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.config.Lock = postgres.Lock(s.admin, "orders")
		var group sync.WaitGroup
		errs := make(chan error, 4)
		for range cap(errs) {
			r := s.rotator()
			group.Go(func() {
				_, err := r.Rotate(t.Context())
				errs <- err
			})
		}
		group.Wait()
		close(errs)
		done := 0
		for err := range errs {
			if err == nil {
				done++
				continue
			}
			require.ErrorIs(t, err, rotate.ErrRunning)
		}
		require.Positive(t, done)
		s.sound()
	})
}

// Without a lock, whatever the order, what the store calls current is accepted.
func TestEndToEndRaceWithoutALock(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		for range 5 {
			var group sync.WaitGroup
			for range 3 {
				r := s.rotator()
				group.Go(func() { _, _ = r.Rotate(t.Context()) })
			}
			group.Wait()
			_, err := s.rotator().Rotate(t.Context()) // finishes what was given up
			require.NoError(t, err)
			s.sound()
		}
	})
}

// Finish ends what a crash has left, wherever that was, and begins nothing.
func TestEndToEndFinish(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		for _, at := range []rotate.Step{rotate.StepCreate, rotate.StepSet, rotate.StepPromote} {
			ctx, crash := context.WithCancel(t.Context())
			rotation := ""
			s.config.Audit = func(e rotate.Event) {
				if e.Step == at && e.Outcome == rotate.OutcomeOK {
					rotation = e.Rotation
					crash()
				}
			}
			_, _ = s.rotator().Rotate(ctx)
			require.Error(t, ctx.Err())
			s.config.Audit = nil
			_, err := s.rotator().Finish(t.Context())
			require.NoError(t, err)
			status := s.sound()
			require.Empty(t, status.Left)
			require.Equal(t, rotation, status.Current.Token)
			result, err := s.rotator().Finish(t.Context())
			require.NoError(t, err)
			require.Empty(t, result.Rotation)
			require.Empty(t, result.Retired)
			again := s.sound()
			status.Consumers, again.Consumers = nil, nil // a login of the rotator's own may not be gone yet
			require.Equal(t, status, again)
		}
	})
}
