package overlap_test

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/refresh/internal/overlap"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/sourcetest"
)

func TestValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := sourcetest.NewScript()
		set := func(user string) { script.Set(source.Credential{Username: user, Password: source.NewSecret("p")}) }
		set("a")
		r, err := refresh.New(t.Context(), script, &refresh.Options{Poll: -1, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		defer r.Close()
		v, err := overlap.New(t.Context(), r, time.Minute, func(s refresh.Snapshot) (string, error) {
			if s.Username == "bad" {
				return "", errors.New("it is bad")
			}
			return s.Username, nil
		})
		require.NoError(t, err)
		rotate := func(user string) {
			set(user)
			require.NoError(t, r.Refresh(t.Context()))
			assert.Equal(t, user, v.Current().Of)
		}
		accepted := func() (all []string) {
			for value := range v.At(time.Now()) {
				all = append(all, value.Of)
			}
			return all
		}
		assert.Equal(t, []string{"a"}, accepted())
		rotate("b")
		assert.Equal(t, []string{"b", "a"}, accepted())
		time.Sleep(40 * time.Second)
		rotate("c")
		assert.Equal(t, []string{"c", "b", "a"}, accepted())
		time.Sleep(20 * time.Second)
		assert.Equal(t, []string{"c", "b"}, accepted(), "a has had its minute")
		set("bad")
		require.ErrorIs(t, r.Refresh(t.Context()), refresh.ErrRejected)
		assert.Equal(t, []string{"c", "b"}, accepted())
		for range v.At(time.Now()) {
			break // may be left early
		}
		rotate("d")
		v.Forget()
		assert.Equal(t, []string{"d"}, accepted())

		v.Close()
		set("e")
		require.NoError(t, r.Refresh(t.Context()))
		assert.Equal(t, []string{"d"}, accepted())
		time.Sleep(time.Hour)
		assert.Equal(t, []string{"d"}, accepted())
	})
}

func TestNewRefusesWhatDoesNotParse(t *testing.T) {
	r, err := refresh.New(t.Context(), sourcetest.NewScript(), nil)
	require.NoError(t, err)
	defer r.Close()
	broken := errors.New("it is broken")
	_, err = overlap.New(t.Context(), r, 0, func(refresh.Snapshot) (int, error) { return 0, broken })
	require.ErrorIs(t, err, broken)
}
