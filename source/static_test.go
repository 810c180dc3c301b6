package source_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/sourcetest"
)

func TestStatic(t *testing.T) {
	c, err := source.Static("app", source.NewSecret("pw")).Credential(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "app", c.Username)
	assert.Equal(t, "pw", c.Password.Reveal())
}

func TestEnv(t *testing.T) {
	t.Setenv("REKEY_TEST_USER", "app")
	t.Setenv("REKEY_TEST_PASSWORD", canary)
	c, err := source.Env("REKEY_TEST_USER", "REKEY_TEST_PASSWORD").Credential(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "app", c.Username)
	assert.Equal(t, canary, c.Password.Reveal())

	c, err = source.Env("", "REKEY_TEST_PASSWORD").Credential(t.Context())
	require.NoError(t, err)
	assert.Empty(t, c.Username)
}

func TestF37_EnvMissing(t *testing.T) {
	for name, c := range map[string]struct {
		unset func(t *testing.T)
		field string
	}{
		"no user":        {func(t *testing.T) { require.NoError(t, os.Unsetenv("REKEY_TEST_USER")) }, "REKEY_TEST_USER"},
		"empty user":     {func(t *testing.T) { t.Setenv("REKEY_TEST_USER", "") }, "REKEY_TEST_USER"},
		"no password":    {func(t *testing.T) { require.NoError(t, os.Unsetenv("REKEY_TEST_PASSWORD")) }, "REKEY_TEST_PASSWORD"},
		"empty password": {func(t *testing.T) { t.Setenv("REKEY_TEST_PASSWORD", "") }, "REKEY_TEST_PASSWORD"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("REKEY_TEST_USER", "app")
			t.Setenv("REKEY_TEST_PASSWORD", canary)
			c.unset(t)
			got, err := source.Env("REKEY_TEST_USER", "REKEY_TEST_PASSWORD").Credential(t.Context())
			var field *source.FieldError
			require.ErrorAs(t, err, &field)
			assert.Equal(t, c.field, field.Field)
			assert.True(t, source.IsPermanent(err))
			assert.True(t, got.Same(source.Credential{}))
			assertNoCanary(t, err.Error())
		})
	}
}

func failing(err error) source.Source {
	return source.Func(func(context.Context) (source.Credential, error) { return source.Credential{}, err })
}

func TestFallbackAsksInOrder(t *testing.T) {
	away := errors.New("away")
	first, second := source.Static("first", source.NewSecret("1")), source.Static("second", source.NewSecret("2"))
	for name, c := range map[string]struct {
		src  source.Source
		want string
	}{
		"first":  {source.Fallback(first, second), "first"},
		"second": {source.Fallback(failing(away), second, first), "second"},
		"last":   {source.Fallback(failing(away), failing(source.Permanent(away)), first), "first"},
	} {
		got, err := c.src.Credential(t.Context())
		require.NoError(t, err, name)
		assert.Equal(t, c.want, got.Username, name)
	}
}

func TestFallbackErrors(t *testing.T) {
	one, two := errors.New("one"), errors.New("two")
	for name, c := range map[string]struct {
		src       source.Source
		permanent bool
	}{
		"all retryable": {source.Fallback(failing(one), failing(two)), false},
		"one permanent": {source.Fallback(failing(source.Permanent(one)), failing(two)), false},
		"all permanent": {source.Fallback(failing(source.Permanent(one)), failing(source.Permanent(two))), true},
		"nested": {source.Fallback(
			source.Fallback(failing(source.Permanent(one)), failing(two)),
			failing(source.Permanent(two))), false},
	} {
		_, err := c.src.Credential(t.Context())
		require.ErrorIs(t, err, one, name)
		require.ErrorIs(t, err, two, name)
		assert.Equal(t, c.permanent, source.IsPermanent(err), name)
	}
	_, err := source.Fallback().Credential(t.Context())
	require.Error(t, err)
	assert.True(t, source.IsPermanent(err))
}

func TestFallbackStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	second := sourcetest.NewScript()
	src := source.Fallback(source.Func(func(ctx context.Context) (source.Credential, error) {
		cancel()
		return source.Credential{}, ctx.Err()
	}), second)
	_, err := src.Credential(ctx)
	require.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, second.Calls(), "nobody waits for its answer any more")
}

func TestFallbackWatchesAll(t *testing.T) {
	first, second := sourcetest.NewScript(), sourcetest.NewScript()
	src := source.Fallback(first, source.Static("app", source.NewSecret("pw")), second)
	w, ok := src.(source.Watcher)
	require.True(t, ok)
	calls := 0
	stop := w.Watch(func() { calls++ })
	first.Changed()
	second.Changed()
	assert.Equal(t, 2, calls)
	stop()
	stop()
	assert.Zero(t, first.Watchers())
	assert.Zero(t, second.Watchers())
}

type brokenCandidates struct {
	source.Source
	err error
}

func (b brokenCandidates) Candidates(context.Context) ([]source.Credential, error) { return nil, b.err }

func TestFallbackOffersAll(t *testing.T) {
	first, second := sourcetest.NewScript(), sourcetest.NewScript()
	first.Offer(source.Credential{Username: "a"}, source.Credential{Username: "b"})
	second.Offer(source.Credential{Username: "c"})
	away := errors.New("away")
	static := source.Static("app", source.NewSecret("pw"))
	src, ok := source.Fallback(first, static, brokenCandidates{static, away}, second).(source.CandidateSource)
	require.True(t, ok)
	all, err := src.Candidates(t.Context())
	require.ErrorIs(t, err, away)
	var names []string
	for _, c := range all {
		names = append(names, c.Username)
	}
	assert.Equal(t, []string{"a", "b", "c"}, names)
}

func TestBypassCache(t *testing.T) {
	assert.False(t, source.CacheBypassed(t.Context()))
	ctx, cancel := context.WithCancel(source.BypassCache(t.Context()))
	defer cancel()
	assert.True(t, source.CacheBypassed(ctx))
}
