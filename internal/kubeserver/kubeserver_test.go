package kubeserver_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/kubeserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestServer(t *testing.T) {
	s, err := kubeserver.Start(t.Context(), os.Stderr)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })

	said, err := os.ReadFile(s.Log())
	require.NoError(t, err)
	require.NotEmpty(t, said)

	ca := filepath.Join(t.TempDir(), "ca.crt")
	require.NoError(t, os.WriteFile(ca, s.CA(), 0o600))
	t.Setenv(kubeserver.EnvAddr, s.Addr())
	t.Setenv(kubeserver.EnvCA, ca)
	t.Setenv(kubeserver.EnvToken, "wrong")
	_, err = kubeserver.Start(t.Context(), os.Stderr)
	require.ErrorContains(t, err, "401")
	require.ErrorContains(t, err, kubeserver.EnvToken)

	t.Setenv(kubeserver.EnvToken, s.Token())
	given, err := kubeserver.Start(t.Context(), os.Stderr)
	require.NoError(t, err)
	require.Equal(t, s.Addr(), given.Addr())
	require.Empty(t, given.Log())
	require.NoError(t, given.Close())
	_, err = kubeserver.Start(t.Context(), os.Stderr)
	require.NoError(t, err, "it is left running")

	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	_, err = kubeserver.Start(t.Context(), os.Stderr)
	require.Error(t, err, "and its own end is one")
}
