package secretsmanager_test

import (
	"context"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/secretsmanager"
)

// slow is a client whose answers to marked requests are long on their way.
type slow struct {
	*lab
	answered chan struct{} // such an answer has been made
	arrives  chan struct{} // it may come
}

type slowKey struct{}

func (s slow) GetSecretValue(ctx context.Context, in *sdk.GetSecretValueInput, opts ...func(*sdk.Options)) (*sdk.GetSecretValueOutput, error) {
	out, err := s.lab.GetSecretValue(ctx, in, opts...)
	if ctx.Value(slowKey{}) != nil {
		close(s.answered)
		<-s.arrives
	}
	return out, err
}

// Two refreshers share a source. The answer to the earlier request comes last.
func TestAnOlderAnswerDoesNotComeBack(t *testing.T) {
	l := newLab(t)
	cache := cacheOf(t, l) // keeps the first value for an hour
	_, err := cache.GetSecretString(name)
	require.NoError(t, err)
	client := slow{l, make(chan struct{}), make(chan struct{})}
	s := secretsmanager.New(client, name, &secretsmanager.Options{Cache: cache, Logger: logger(t)})
	earlier := make(chan source.Credential, 1)
	go func() {
		c, err := s.Credential(source.BypassCache(context.WithValue(t.Context(), slowKey{}, true)))
		if err != nil {
			t.Error(err)
		}
		earlier <- c
	}()
	<-client.answered
	version := l.put(login("app", "second"))
	require.Equal(t, version, force(t, s).Version)
	close(client.arrives)
	require.Equal(t, version, (<-earlier).Version, "what is known by now")
	for range 3 {
		require.Equal(t, version, get(t, s).Version)
	}
}
