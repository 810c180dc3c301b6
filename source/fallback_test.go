package source_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/source"
)

func TestG5_FallbackDoesNotHideAStoreThatHasAnswered(t *testing.T) {
	var away error
	store := source.Func(func(context.Context) (source.Credential, error) {
		return source.Credential{Username: "app"}, away
	})
	src := source.Fallback(store, source.Static("emergency", source.NewSecret("p")))

	away = errors.New("the store is away")
	c, err := src.Credential(t.Context())
	require.NoError(t, err, "a service starts although its store is away")
	require.Equal(t, "emergency", c.Username)

	away = nil
	c, err = src.Credential(t.Context())
	require.NoError(t, err)
	require.Equal(t, "app", c.Username)

	away = errors.New("the store is away again")
	_, err = src.Credential(t.Context())
	require.ErrorIs(t, err, away, "the last good credential serves meanwhile")
}
