package refresh_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

func TestF25_HundredRotationsLeaveNothing(t *testing.T) {
	defer goleak.VerifyNone(t)
	s := leases(time.Hour)
	r, err := refresh.New(t.Context(), s, quiet(nil))
	require.NoError(t, err)
	db := &database{}
	a := attach(t, r, db)
	rotate := func(n int) {
		for range n {
			h := hold(t, a)
			require.NoError(t, r.Refresh(t.Context()))
			h.Release()
		}
	}
	rotate(10)
	goroutines := runtime.NumGoroutine()
	rotate(100)
	assert.LessOrEqual(t, runtime.NumGoroutine(), goroutines+2)
	assert.EqualValues(t, 111, r.Current().Generation)
	assert.LessOrEqual(t, s.MaxLive(), 2)
	r.Close()
	assert.Zero(t, s.Live())
	assert.Zero(t, s.Watchers())
}

// Without leases nothing forces a predecessor out while a session lives.
func TestF25_HundredRotationsWithOneSessionEach(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		r := start(t, s, nil)
		a := attach(t, r, &database{})
		var held []*refresh.Hold
		for n := range 100 {
			held = append(held, hold(t, a))
			s.Set(cred(fmt.Sprint("user", n)))
			require.NoError(t, r.Refresh(t.Context()))
		}
		for _, h := range held {
			assert.False(t, h.Over(time.Now()))
			h.Release()
		}
		advance(time.Hour)
		assert.Equal(t, refresh.Fresh, r.Health().State)
	})
}

const canary = "CANARY-x7Qz'\"@/:#%"

// assertSecretless fails if text shows the canary or a recognisable encoding.
func assertSecretless(t *testing.T, what, text string) {
	t.Helper()
	for _, shape := range []string{"CANARY", fmt.Sprintf("%x", "CANARY"), fmt.Sprintf("%X", "CANARY"), "67 65 78 65", "0x43, 0x41"} {
		assert.NotContains(t, text, shape, what)
	}
}

func TestF38_NothingPrintsTheSecret(t *testing.T) {
	bubble(t, func(t *testing.T) {
		log := &journal{}
		handler := slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug - 4, AddSource: true})
		secret := func(user string) source.Credential {
			return source.Credential{Username: user, Password: source.NewSecret(canary)}.
				WithFields(map[string]source.Secret{"api_key": source.NewSecret(canary)})
		}
		s := script()
		s.Set(secret("one"))
		s.TTL(time.Hour)
		s.Offer(secret("pending"))
		r := start(t, s, &refresh.Options{Logger: slog.New(handler)})
		db := &database{}
		a := attach(t, r, db)
		var errs []error

		db.refuses(rejection("wrong password"), "two", "pending")
		s.Set(secret("two"))
		errs = append(errs, r.Refresh(t.Context()))
		db.refuses(errAway, "two", "pending")
		errs = append(errs, r.Refresh(t.Context()))
		s.Set(secret("one"))
		h := hold(t, a)
		db.refuses(rejection("wrong password"))
		spend(t, r, a)
		_, err := a.Hold(t.Context())
		errs = append(errs, err, r.Trouble())
		_, err = r.Attach(t.Context(), db)
		errs = append(errs, err)
		db.accepts()
		s.Set(secret("three"))
		s.FailRevoke(errDenied)
		errs = append(errs, r.Refresh(t.Context()))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		errs = append(errs, r.Refresh(ctx))
		down(s)
		advance(2 * time.Hour)
		_, err = r.Latest(ctx)
		errs = append(errs, err)
		synctest.Wait()

		values := map[string]any{
			"snapshot": r.Current(), "refresher": r, "hold": h, "attachment": a, "health": r.Health(), "errors": errs,
			"inside": struct {
				s refresh.Snapshot
				h *refresh.Hold
			}{r.Current(), h},
		}
		for name, v := range values {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				assertSecretless(t, name+" "+verb, fmt.Sprintf(verb, v))
			}
			slog.New(handler).Error("printed", name, v)
		}
		for _, v := range []any{r.Current(), r.Health()} {
			text, err := json.Marshal(v)
			require.NoError(t, err)
			assertSecretless(t, "JSON", string(text))
		}
		h.Release()
		errs = append(errs, r.Shutdown(t.Context()))
		for _, err := range errs {
			if err != nil {
				assertSecretless(t, "error", err.Error())
			}
			for ; err != nil; err = errors.Unwrap(err) {
				assertSecretless(t, "error", fmt.Sprintf("%+v %#v", err, err))
			}
		}
		assertSecretless(t, "log", log.String())
		assert.Greater(t, bytes.Count([]byte(log.String()), []byte("\n")), 10)
	})
}
