package vaultserver_test

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/internal/vaultserver"
	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
)

func TestStopAndStartKeepLeases(t *testing.T) {
	t.Parallel()
	s := vaulttest.New(t, nil)
	e := vaulttest.Database(t, s, pgtest.Database(t))
	long := e.Role("long", vaulttest.Role{TTL: time.Hour, MaxTTL: 2 * time.Hour})
	short := e.Role("short", vaulttest.Role{TTL: 4 * time.Second})
	token := vaulttest.NewToken(t, s, vaulttest.Token{TTL: time.Hour})
	lease := vaulttest.Do(t, s, "GET", long, nil).LeaseID
	addr := s.Addr()

	for name, end := range map[string]func() error{
		"stopped": func() error { return s.Stop(t.Context()) },
		"crashed": func() error { return s.Crash(t.Context()) },
	} {
		vaulttest.Do(t, s, "GET", short, nil)
		require.Len(t, e.Users(), 2, name)
		require.NoError(t, end(), name)
		_, err := s.Do(t.Context(), "GET", long, nil)
		require.Error(t, err, name)
		var refused *vaultserver.Error
		require.NotErrorAs(t, err, &refused, "nobody answers")
		require.NoError(t, s.Start(t.Context()), name)
		require.NoError(t, s.Start(t.Context()), "it runs already")

		require.Equal(t, addr, s.Addr())
		res := vaulttest.Do(t, s, "PUT", "sys/leases/renew", map[string]any{"lease_id": lease, "increment": 3600})
		require.Equal(t, 3600, res.LeaseDuration)
		_, err = (&vaultserver.Client{Addr: addr, Token: token}).Do(t.Context(), "GET", "auth/token/lookup-self", nil)
		require.NoError(t, err, "tokens are kept")
		require.Eventually(t, func() bool { return len(e.Users()) == 1 }, patience, 50*time.Millisecond,
			"what ended meanwhile is revoked")
	}
}

func TestSealedAnswers503(t *testing.T) {
	t.Parallel()
	s := vaulttest.New(t, nil)
	kv := vaulttest.KV(t, s, 1)
	vaulttest.Do(t, s, "PUT", kv+"/a", map[string]any{"x": "y"})
	require.NoError(t, s.Seal(t.Context()))
	for _, path := range []string{kv + "/a", "auth/token/lookup-self", "sys/health"} {
		_, err := s.Do(t.Context(), "GET", path, nil)
		var refused *vaultserver.Error
		require.ErrorAs(t, err, &refused)
		require.Equal(t, http.StatusServiceUnavailable, refused.Status, path)
	}
	require.NoError(t, s.Unseal(t.Context()))
	require.Equal(t, map[string]any{"x": "y"}, vaulttest.Do(t, s, "GET", kv+"/a", nil).Data)

	require.NoError(t, s.Seal(t.Context()))
	require.NoError(t, s.Restart(t.Context()), "which unseals")
	vaulttest.Do(t, s, "GET", kv+"/a", nil)
}

func TestGivenServer(t *testing.T) {
	own := vaulttest.Server(t)
	t.Setenv(vaultserver.EnvAddr, own.Addr())
	t.Setenv(vaultserver.EnvToken, own.RootToken())
	s, err := vaultserver.Start(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, own.Addr(), s.Addr())
	require.ErrorIs(t, s.Stop(t.Context()), vaultserver.ErrNotOurs)
	require.ErrorIs(t, s.Start(t.Context()), vaultserver.ErrNotOurs)
	require.ErrorIs(t, s.Seal(t.Context()), vaultserver.ErrNotOurs)
	require.ErrorIs(t, s.Unseal(t.Context()), vaultserver.ErrNotOurs)
	require.NoError(t, s.Close())
	_, err = own.Do(t.Context(), "GET", "sys/health", nil)
	require.NoError(t, err, "it is left running")

	t.Setenv(vaultserver.EnvToken, "wrong")
	_, err = vaultserver.Start(t.Context(), nil)
	require.ErrorContains(t, err, vaultserver.EnvToken)
}

func TestNoProgram(t *testing.T) {
	t.Parallel()
	_, err := vaultserver.Start(t.Context(), &vaultserver.Options{Own: true, Binary: "/no/such/vault"})
	require.ErrorContains(t, err, vaultserver.EnvBinary)
}

func TestProgramThatFails(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	_, err := vaultserver.Start(t.Context(), &vaultserver.Options{Own: true, Binary: "false", Log: &log})
	require.ErrorContains(t, err, "ended while starting")
}

func TestPrepareIsQuickAfterwards(t *testing.T) {
	t.Parallel()
	vaulttest.Server(t)
	var log bytes.Buffer
	require.NoError(t, vaultserver.Prepare(t.Context(), &log))
	require.Empty(t, log.String())
}
