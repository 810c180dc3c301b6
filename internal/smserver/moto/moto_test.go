package moto_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/smserver/moto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStartServesAndCloseLeavesNothing(t *testing.T) {
	t.Setenv(moto.EnvAddr, "")
	began := time.Now()
	own, err := moto.Start(t.Context(), &moto.Options{Log: t.Output()})
	require.NoError(t, err)
	t.Log("ready after", time.Since(began).Round(time.Millisecond))
	require.NoError(t, own.Reset(t.Context()))

	t.Setenv(moto.EnvAddr, own.URL[len("http://"):])
	given, err := moto.Start(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, own.URL, given.URL)
	require.NoError(t, given.Close())
	require.NoError(t, own.Reset(t.Context()), "a given server is left running")

	require.NoError(t, own.Close())
	require.NoError(t, own.Close(), "once more")
	_, err = http.Get(own.URL) //nolint:bodyclose // there is no answer
	require.Error(t, err)
	_, err = moto.Start(t.Context(), nil)
	require.ErrorContains(t, err, moto.EnvAddr, "it names a server that is gone")
}

// Without one in PATH the environment in the cache folder serves.
func TestOwnEnvironment(t *testing.T) {
	t.Setenv(moto.EnvAddr, "")
	t.Setenv("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
	own, err := moto.Start(t.Context(), &moto.Options{Log: t.Output()})
	require.NoError(t, err)
	require.NoError(t, own.Close())
}
