package mysql_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	my "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/mysqlserver"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/file"
	"github.com/rekey-go/rekey/rotate/mysql"
	"github.com/rekey-go/rekey/source"
)

// on runs a test for both products.
func on(t *testing.T, test func(*testing.T, *house)) {
	for _, product := range products {
		t.Run(string(product), func(t *testing.T) {
			t.Parallel()
			test(t, newHouse(t, product, ""))
		})
	}
}

// rotator rotates the first user, whose secret is a file, by a target.
func (h *house) rotator(open func(*mysql.Config) (rotate.Target, error)) (*rotate.Config, rotate.Store) {
	path := filepath.Join(h.t.TempDir(), "app.json")
	text := fmt.Sprintf(`{"username": %q, "password": %q}`, h.first.Username, h.first.Password.Reveal())
	require.NoError(h.t, os.WriteFile(path, []byte(text), 0o600))
	config, _ := h.config()
	target, err := open(config)
	require.NoError(h.t, err)
	store := file.New(path, nil)
	return &rotate.Config{
		Store: store, Target: target, Poll: 5 * time.Millisecond,
		Generate: func() (source.Secret, error) { return source.NewSecret("generated-" + rand.Text()), nil },
	}, store
}

func newRotator(t *testing.T, c *rotate.Config) *rotate.Rotator {
	t.Helper()
	r, err := rotate.New(c)
	require.NoError(t, err)
	return r
}

// session opens one of the application.
func (h *house) session(c source.Credential) (*sql.Conn, error) {
	config := h.db.Config()
	config.User, config.Passwd = c.Username, c.Password.Reveal()
	connector, err := my.NewConnector(config)
	require.NoError(h.t, err)
	db := sql.OpenDB(connector)
	db.SetMaxIdleConns(-1) // who closes the connection ends the session
	conn, err := db.Conn(h.t.Context())
	h.t.Cleanup(func() {
		if conn != nil {
			_ = conn.Close() // the test may have done so
		}
		require.NoError(h.t, db.Close())
	})
	return conn, err
}

func (h *house) open(c source.Credential) *sql.Conn {
	h.t.Helper()
	conn, err := h.session(c)
	require.NoError(h.t, err)
	return conn
}

func accepts(t *testing.T, target rotate.Target, c source.Credential) bool {
	t.Helper()
	ok, err := target.Accepts(t.Context(), c)
	require.NoError(t, err)
	return ok
}

func TestTwoPasswords(t *testing.T) {
	on(t, func(t *testing.T, h *house) {
		config, store := h.rotator(mysql.DualPassword)
		var steps []rotate.Step
		config.Audit = func(e rotate.Event) {
			if e.Outcome == rotate.OutcomeOK {
				steps = append(steps, e.Step)
			}
		}
		config.DrainTimeout = 50 * time.Millisecond
		r := newRotator(t, config)
		old := h.open(h.first)
		_, err := r.Rotate(t.Context())
		require.ErrorIs(t, err, rotate.ErrUndrained, "somebody is connected since before")
		state, err := store.Read(t.Context())
		require.NoError(t, err)
		next := state.Current.Credential
		require.True(t, accepts(t, config.Target, h.first))
		require.True(t, accepts(t, config.Target, next))
		status, err := r.Status(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{h.first.Username}, status.Left)
		require.Equal(t, rotate.StepDrain, status.Next)
		require.Len(t, status.Consumers, 1)
		require.Equal(t, 1, status.Consumers[0].Behind)

		// Nothing begins before that is over, and nothing is lost by trying.
		steps = nil
		_, err = r.Rotate(t.Context())
		require.ErrorIs(t, err, rotate.ErrUndrained)
		require.Empty(t, steps)
		_, err = r.Rehearse(t.Context(), rotate.StepPromote, nil)
		require.ErrorIs(t, err, rotate.ErrUnfit)
		require.True(t, accepts(t, config.Target, h.first))
		require.True(t, accepts(t, config.Target, next))

		require.NoError(t, old.Close())
		steps, config.DrainTimeout = nil, time.Minute
		_, err = newRotator(t, config).Rotate(t.Context())
		require.NoError(t, err)
		require.Equal(t, []rotate.Step{
			rotate.StepDrain, rotate.StepDrain, rotate.StepRemove, // of the rotation before
			rotate.StepCreate, rotate.StepSet, rotate.StepVerify, rotate.StepPromote, rotate.StepDrain, rotate.StepDrain, rotate.StepRemove,
		}, steps)
		require.False(t, accepts(t, config.Target, h.first))
		require.False(t, accepts(t, config.Target, next))

		// And back: the previous one is set again, though it was discarded.
		back, err := r.Rollback(t.Context())
		require.NoError(t, err)
		require.Equal(t, next.Version, back.To)
		require.True(t, accepts(t, config.Target, next))
		_, err = newRotator(t, config).Rotate(t.Context())
		require.NoError(t, err)
		require.False(t, accepts(t, config.Target, next))
	})
}

// A rollback while both are accepted must make the older one the newer: what is
// discarded later is the other.
func TestRollbackWhileBothAreAccepted(t *testing.T) {
	on(t, func(t *testing.T, h *house) {
		config, store := h.rotator(mysql.DualPassword)
		first, bad := h.brokenRollback(config, store)
		result, err := newRotator(t, config).Rotate(t.Context())
		require.NoError(t, err)
		require.Equal(t, first, result.From, "the rollback was finished, and the next follows the version it went back to")
		require.False(t, accepts(t, config.Target, bad))
		require.False(t, accepts(t, config.Target, h.first))
		state, err := store.Read(t.Context())
		require.NoError(t, err)
		require.True(t, accepts(t, config.Target, state.Current.Credential))
	})
}

// The others that come by finish it as well.
func TestABrokenRollbackIsFinished(t *testing.T) {
	for name, next := range map[string]func(context.Context, *rotate.Rotator) (rotate.Result, error){
		"finish": func(ctx context.Context, r *rotate.Rotator) (rotate.Result, error) { return r.Finish(ctx) },
		"advance": func(ctx context.Context, r *rotate.Rotator) (rotate.Result, error) {
			return r.Advance(ctx, "11111111-1111-4111-8111-111111111111", rotate.StepCreate)
		},
	} {
		t.Run(name, func(t *testing.T) {
			on(t, func(t *testing.T, h *house) {
				config, store := h.rotator(mysql.DualPassword)
				first, bad := h.brokenRollback(config, store)
				_, err := next(t.Context(), newRotator(t, config))
				require.NoError(t, err)
				state, err := store.Read(t.Context())
				require.NoError(t, err)
				require.Equal(t, first, state.Current.Token)
				require.True(t, accepts(t, config.Target, h.first))
				require.False(t, accepts(t, config.Target, bad))
			})
		})
	}
}

// brokenRollback goes back to the first version, of which the store does not learn.
func (h *house) brokenRollback(config *rotate.Config, store rotate.Store) (first string, bad source.Credential) {
	h.t.Helper()
	config.DrainTimeout = 20 * time.Millisecond
	old := h.open(h.first)
	_, err := newRotator(h.t, config).Rotate(h.t.Context())
	require.ErrorIs(h.t, err, rotate.ErrUndrained)
	state, err := store.Read(h.t.Context())
	require.NoError(h.t, err)
	config.Store = deaf{store}
	_, err = newRotator(h.t, config).Rollback(h.t.Context())
	require.ErrorIs(h.t, err, errDeaf)
	require.NoError(h.t, old.Close())
	config.Store, config.DrainTimeout = store, time.Minute
	return state.Previous.Token, state.Current.Credential
}

// deaf does not take Restore.
type deaf struct{ rotate.Store }

var errDeaf = errors.New("the store is deaf")

func (deaf) Restore(context.Context, string, string) error { return errDeaf }

func TestRevoke(t *testing.T) {
	on(t, func(t *testing.T, h *house) {
		admin := map[mysqlserver.Product]string{mysqlserver.MariaDB: "connection admin", mysqlserver.MySQL: "connection_admin"}[h.db.Server.Product()]
		config, store := h.rotator(mysql.DualPassword)
		stolen := h.open(h.first)
		_, err := newRotator(t, config).Revoke(t.Context(), "a test")
		var privilege *mysql.PrivilegeError
		require.ErrorAs(t, err, &privilege, "it may not end sessions")
		require.Contains(t, privilege.Privilege, "CONNECTION")
		h.do("grant "+admin+" on *.* to %s", h.rotatorUser)
		_, err = newRotator(t, config).Revoke(t.Context(), "a test")
		require.NoError(t, err)
		require.Error(t, stolen.PingContext(t.Context()), "the session has been ended")
		require.False(t, accepts(t, config.Target, h.first))
		state, err := store.Read(t.Context())
		require.NoError(t, err)
		require.True(t, accepts(t, config.Target, state.Current.Credential))
	})
}

// Everybody who follows the store logs in, at any time, through rotations.
func TestLoginsThroughRotationsWithTwoPasswords(t *testing.T) {
	on(t, func(t *testing.T, h *house) {
		config, store := h.rotator(mysql.DualPassword)
		ctx, stop := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		var mu sync.Mutex
		logins, failed := 0, error(nil)
		for range 2 {
			clients.Go(func() {
				for ctx.Err() == nil {
					state, err := store.Read(t.Context())
					if err == nil {
						failed, _ := config.Target.Accepts(t.Context(), state.Current.Credential)
						if !failed {
							err = fmt.Errorf("version %s was rejected", state.Current.Token)
						}
					}
					mu.Lock()
					logins++
					failed = errors.Join(failed, err)
					mu.Unlock()
				}
			})
		}
		config.Grace = 20 * time.Millisecond // whoever has read the store before logs in by then
		for range 5 {
			_, err := newRotator(t, config).Rotate(t.Context())
			require.NoError(t, err)
		}
		stop()
		clients.Wait()
		require.NoError(t, failed)
		require.Greater(t, logins, 5)
	})
}
