package secretsmanager_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-secretsmanager-caching-go/v2/secretcache"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/secretsmanager"
)

// What the cache of AWS does wrong, each proven here, and that the source does
// not suffer from it.

func cacheOf(t testing.TB, client secretcache.SecretsManagerAPIClient) *secretcache.Cache {
	t.Helper()
	c, err := secretcache.New(func(c *secretcache.Cache) { c.Client = client })
	require.NoError(t, err)
	return c
}

func TestALookGoesToTheCache(t *testing.T) {
	l := newLab(t)
	cache := cacheOf(t, l)
	s := l.source(&secretsmanager.Options{Cache: cache})
	first := get(t, s)
	get(t, s) // fills the cache
	l.sent()
	for range 5 {
		require.True(t, get(t, s).Same(first))
	}
	require.Empty(t, l.sent(), "the cache has answered")

	// With a binary secret as well.
	_, err := l.PutSecretValue(t.Context(), &sdk.PutSecretValueInput{SecretId: aws.String(name), SecretBinary: []byte(login("app", "binary"))})
	require.NoError(t, err)
	s = l.source(&secretsmanager.Options{Cache: cacheOf(t, l)})
	binary := get(t, s)
	get(t, s)
	l.sent()
	require.True(t, get(t, s).Same(binary))
	require.Empty(t, l.sent())
}

func TestF15ARejectedLoginGoesPastAStaleCache(t *testing.T) {
	l := newLab(t)
	cache := cacheOf(t, l) // keeps what it has for an hour
	s := l.source(&secretsmanager.Options{Cache: cache})
	get(t, s)
	first := get(t, s)
	version := l.put(login("app", "second"))
	require.True(t, get(t, s).Same(first), "nobody knows yet")
	second := force(t, s)
	require.Equal(t, version, second.Version)
	require.Equal(t, "second", second.Password.Reveal())
	stale, err := cache.GetSecretString(name)
	require.NoError(t, err)
	require.Equal(t, login("app", "first"), stale, "the cache is behind")
	for range 3 {
		require.True(t, get(t, s).Same(second), "and is not believed: the old value does not come back")
	}
}

func TestACacheThatIsAheadIsConfirmed(t *testing.T) {
	l := newLab(t)
	s := l.source(&secretsmanager.Options{Cache: cacheOf(t, l)}) // empty until it is asked
	get(t, s)
	version := l.put(login("app", "second"))
	c := get(t, s)
	require.Equal(t, "second", c.Password.Reveal())
	require.Equal(t, version, c.Version, "the version is the store's: the cache does not tell it")
	l.sent()
	get(t, s)
	require.Empty(t, l.sent())
}

func TestARefreshOfTheCacheSlowsNobody(t *testing.T) {
	l := newLab(t)
	cache := cacheOf(t, l)
	s := l.source(&secretsmanager.Options{Cache: cache})
	get(t, s)
	l.put(login("app", "second"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var refresh sync.WaitGroup
	begun := time.Now()
	refresh.Go(func() { cache.RefreshNowWithContext(ctx, name) })
	require.Equal(t, "second", force(t, s).Password.Reveal())
	took := time.Since(begun)
	refresh.Wait() // the context does not hurry it
	slept := time.Since(begun)
	require.GreaterOrEqual(t, slept, 2*time.Second, "the cache sleeps")
	require.Less(t, took, slept/2)
}

func TestAPoisonedCacheIsPassed(t *testing.T) {
	l := newLab(t)
	cache := cacheOf(t, l)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := cache.GetSecretStringWithContext(cancelled, name)
	require.ErrorIs(t, err, context.Canceled)

	// Its failures are kept and given to others.
	for range 12 {
		_, _ = cache.GetSecretStringWithContext(cancelled, name)
	}
	_, err = cache.GetSecretStringWithContext(t.Context(), name)
	require.ErrorIs(t, err, context.Canceled, "somebody else's end")
	s := l.source(&secretsmanager.Options{Cache: cache})
	for range 3 {
		require.Equal(t, "first", get(t, s).Password.Reveal(), "scheduled looks do without it")
		require.Equal(t, "first", force(t, s).Password.Reveal())
	}
}

func TestTheLabelIsAlwaysSaid(t *testing.T) {
	l := newLab(t)
	l.put(login("app", "pending"), "AWSPENDING")
	cache, err := secretcache.New(func(c *secretcache.Cache) { c.Client, c.VersionStage = l, "AWSPENDING" })
	require.NoError(t, err)
	text, err := cache.GetSecretString(name)
	require.NoError(t, err)
	require.Equal(t, login("app", "first"), text, "the cache does not look at its own VersionStage")
	s := l.source(&secretsmanager.Options{Cache: cache})
	require.Equal(t, "first", get(t, s).Password.Reveal())
	var asked sdk.GetSecretValueInput
	spy := secretsmanager.New(spying{l, &asked}, name, nil)
	get(t, spy)
	require.Equal(t, "AWSCURRENT", aws.ToString(asked.VersionStage))
}

type spying struct {
	*lab
	asked *sdk.GetSecretValueInput
}

func (s spying) GetSecretValue(ctx context.Context, in *sdk.GetSecretValueInput, opts ...func(*sdk.Options)) (*sdk.GetSecretValueOutput, error) {
	*s.asked = *in
	return s.lab.GetSecretValue(ctx, in, opts...)
}

var _ source.CandidateSource = (*secretsmanager.Source)(nil)

// trap is a cache that does what it is told to.
type trap func(context.Context) (string, error)

func (f trap) GetSecretStringWithContext(ctx context.Context, _ string) (string, error) {
	return f(ctx)
}

func (f trap) GetSecretBinaryWithContext(ctx context.Context, _ string) ([]byte, error) {
	text, err := f(ctx)
	return []byte(text), err
}

// Another caller of the cache waits for the network with its lock in hand, and
// whoever comes then waits for the lock, whatever his context says.
func TestACacheThatHangsIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		hang := make(chan struct{})
		var calls atomic.Int32
		s := l.source(&secretsmanager.Options{Cache: trap(func(ctx context.Context) (string, error) {
			calls.Add(1)
			<-hang
			return "", ctx.Err()
		})})
		get(t, s)
		l.put(login("app", "second"))
		began := time.Now()
		require.Equal(t, "second", get(t, s).Password.Reveal(), "from the store")
		require.LessOrEqual(t, time.Since(began), time.Second)
		began = time.Now()
		for range 5 {
			get(t, s)
			force(t, s)
		}
		require.Zero(t, time.Since(began), "nobody else waits")
		require.EqualValues(t, 1, calls.Load())

		close(hang)
		synctest.Wait()
		get(t, s)
		require.EqualValues(t, 2, calls.Load(), "it is asked again when it has come back")
	})
}

func TestTheEndOfALookDoesNotWaitForTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		hang := make(chan struct{})
		var inside error
		s := l.source(&secretsmanager.Options{Cache: trap(func(ctx context.Context) (string, error) {
			<-hang
			inside = ctx.Err()
			return "", inside
		})})
		get(t, s)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := s.Credential(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 10*time.Millisecond, time.Since(began))
		close(hang)
		synctest.Wait()
		require.NoError(t, inside, "the cache would keep the end of a caller for others")
	})
}

func TestACacheThatPanicsIsPassed(t *testing.T) {
	l := newLab(t)
	small, err := secretcache.New(func(c *secretcache.Cache) { c.Client, c.MaxCacheSize = l, 0 })
	require.NoError(t, err)
	for what, cache := range map[string]secretsmanager.Cache{
		"without room": small, "nil": (*secretcache.Cache)(nil),
	} {
		var log bytes.Buffer
		s := l.source(&secretsmanager.Options{Cache: cache, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for range 3 {
			require.Equal(t, "first", get(t, s).Password.Reveal(), what)
		}
		require.Contains(t, log.String(), "panic", what)
	}
}

// While a candidate serves, AWSCURRENT is known not to work, so what matters is
// when it moves; a cache may tell an hour later.
func TestACacheIsNotBelievedOfARejectedVersion(t *testing.T) {
	l := newLab(t)
	s := l.source(&secretsmanager.Options{Cache: cacheOf(t, l), Bridge: true})
	get(t, s)
	get(t, s) // fills the cache
	version := l.put(login("app", "second"), "AWSPENDING")
	force(t, s)
	found, err := s.Candidates(t.Context())
	require.NoError(t, err)
	require.Equal(t, version, found[0].Version)
	require.Equal(t, "first", get(t, s).Password.Reveal())
	l.promote(version)
	require.Equal(t, version, get(t, s).Version)
	get(t, s)
	l.sent()
}
