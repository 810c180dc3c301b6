package pooltest_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool/pooltest"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/sourcetest"
)

func TestNoFailuresCanFail(t *testing.T) {
	var n atomic.Int64
	why := failing(t, func(t testing.TB) {
		done := make(chan struct{})
		load := pooltest.StartLoad(t, 3, func(context.Context) error {
			if n.Add(1) == 100 {
				close(done)
				return errors.New("one in many")
			}
			return nil
		})
		<-done
		load.NoFailures(t)
	})
	require.Contains(t, why, "pooltest: 1 of ")
	require.Contains(t, why, "one in many")

	require.Contains(t, failing(t, func(t testing.TB) { pooltest.StartLoad(t, 0, nil) }), "proves nothing")
}

func TestALoadWithoutACallProvesNothing(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end()
	why := failing(contextual{t, ended}, func(t testing.TB) {
		pooltest.StartLoad(t, 1, func(context.Context) error { return nil }).NoFailures(t)
	})
	require.Contains(t, why, "made no call")
}

// contextual is a test with another context.
type contextual struct {
	testing.TB
	ctx context.Context
}

func (c contextual) Context() context.Context { return c.ctx }

func TestTheEndOfTheTestStopsTheLoad(t *testing.T) {
	var calls atomic.Int64
	var load *pooltest.Load
	passing(t, func(t testing.TB) {
		first := make(chan struct{}, 1)
		load = pooltest.StartLoad(t, 2, func(ctx context.Context) error {
			_, bounded := ctx.Deadline()
			if !bounded {
				return errors.New("a call that hangs would never end")
			}
			calls.Add(1)
			select {
			case first <- struct{}{}:
			default:
			}
			return nil
		})
		<-first
	})
	n := calls.Load()
	r := load.Stop()
	require.Equal(t, n, r.Statements)
	require.NoError(t, r.Err)
}

func TestStoreIsASource(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
		store := pooltest.NewStore("app", "first-odd-password-0")
		n := byte('0')
		return sourcetest.Harness{
			Source: store,
			Rotate: func(*testing.T) source.Credential {
				n++
				password := "first-odd-password-" + string(n)
				store.Put("app", password)
				return source.Credential{Username: "app", Password: source.NewSecret(password)}
			},
			Break: func(*testing.T) { store.Fail(errors.New("away")) },
			Mend:  func(*testing.T) { store.Fail(nil) },
		}
	})
}

func TestStoreThatIsAwayKeepsWhatIsPut(t *testing.T) {
	store := pooltest.NewStore("app", "one")
	changes := 0
	defer store.Watch(func() { changes++ })()
	away := errors.New("away")
	store.Fail(away)
	store.Put("app", "two")
	_, err := store.Credential(t.Context())
	require.ErrorIs(t, err, away)
	store.Fail(nil)
	c, err := store.Credential(t.Context())
	require.NoError(t, err)
	require.Equal(t, "two", c.Password.Reveal())
	require.Equal(t, "v2", c.Version)
	require.Equal(t, 2, changes)
}

func TestFileFollowsTheStore(t *testing.T) {
	store := pooltest.NewStore("app", "one")
	path := store.File(t)
	read := func() map[string]string {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		var m map[string]string
		require.NoError(t, json.Unmarshal(text, &m))
		return m
	}
	require.Equal(t, map[string]string{"username": "app", "password": "one"}, read())
	store.Put("app2", `two "\`)
	require.Equal(t, map[string]string{"username": "app2", "password": `two "\`}, read())
	store.Fail(errors.New("away"))
	store.Put("app3", "three")
	require.Equal(t, "app2", read()["username"])
	store.Fail(nil)
	require.Equal(t, "app3", read()["username"])
}
