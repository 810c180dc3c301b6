package vaulttest_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/internal/vaultserver"
	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
)

func TestProxyHandsOn(t *testing.T) {
	t.Parallel()
	s := vaulttest.Server(t)
	kv := vaulttest.KV(t, s, 1)
	p := vaulttest.NewProxy(t, s)
	c := &vaultserver.Client{Addr: p.Addr(), Token: s.RootToken()}
	_, err := c.Do(t.Context(), "PUT", kv+"/a", map[string]any{"x": "y"})
	require.NoError(t, err)
	res, err := c.Do(t.Context(), "LIST", kv+"/", nil)
	require.NoError(t, err)
	require.Equal(t, []any{"a"}, res.Data["keys"])
	require.Equal(t, http.StatusNotFound, refusal(t, c, "GET", kv+"/b", nil).Status)

	log := p.Requests(kv)
	require.Len(t, log, 3)
	require.Equal(t, []string{"PUT", "LIST", "GET"}, []string{log[0].Method, log[1].Method, log[2].Method})
	require.Equal(t, []int{204, 200, 404}, []int{log[0].Status, log[1].Status, log[2].Status})
	require.Equal(t, kv+"/b", log[2].Path)
	require.WithinDuration(t, time.Now(), log[2].At, time.Minute)
	require.Empty(t, p.Requests("sys/"))
}

func TestProxyAnswersItself(t *testing.T) {
	t.Parallel()
	s := vaulttest.Server(t)
	p := vaulttest.NewProxy(t, s)
	c := &vaultserver.Client{Addr: p.Addr(), Token: s.RootToken()}
	for _, status := range []int{429, 500, 503} {
		p.Break(vaulttest.Fault{Path: "sys/", Status: status, Times: 1})
		require.Equal(t, status, refusal(t, c, "GET", "sys/mounts", nil).Status)
		_, err := c.Do(t.Context(), "GET", "sys/mounts", nil)
		require.NoError(t, err, "once is over")
	}
	p.Break(vaulttest.Fault{Method: "POST", Status: 500})
	require.Equal(t, 500, refusal(t, c, "PUT", "sys/leases/renew", nil).Status, "POST and PUT are one")
	_, err := c.Do(t.Context(), "GET", "sys/mounts", nil)
	require.NoError(t, err, "another method")

	p.Clear()
	p.Break(vaulttest.Fault{Body: "<html>"})
	_, err = c.Do(t.Context(), "GET", "sys/mounts", nil)
	require.ErrorContains(t, err, "invalid character")
}

func TestProxyCutsAndLoses(t *testing.T) {
	t.Parallel()
	s := vaulttest.Server(t)
	e := vaulttest.Database(t, s, pgtest.Database(t))
	path := e.Role("app", vaulttest.Role{TTL: time.Hour})
	p := vaulttest.NewProxy(t, s)
	c := &vaultserver.Client{Addr: p.Addr(), Token: s.RootToken()}
	p.Break(vaulttest.Fault{Path: path, Cut: true, Times: 1})
	_, err := c.Do(t.Context(), "GET", path, nil)
	require.Error(t, err)
	require.Empty(t, e.Users())
	p.Break(vaulttest.Fault{Path: path, Lose: true, Times: 1})
	_, err = c.Do(t.Context(), "GET", path, nil)
	require.Error(t, err)
	require.Len(t, e.Users(), 1, "Vault did it all the same")
	for _, r := range p.Requests("") {
		require.Zero(t, r.Status)
	}
}

func TestProxyDelays(t *testing.T) {
	t.Parallel()
	s := vaulttest.Server(t)
	p := vaulttest.NewProxy(t, s)
	c := &vaultserver.Client{Addr: p.Addr(), Token: s.RootToken()}
	p.Break(vaulttest.Fault{Delay: 200 * time.Millisecond})
	begin := time.Now()
	_, err := c.Do(t.Context(), "GET", "sys/mounts", nil)
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(begin), 200*time.Millisecond)

	p.Clear()
	p.Break(vaulttest.Fault{Delay: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = c.Do(ctx, "GET", "sys/mounts", nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	done := make(chan error, 1)
	go func() {
		_, err := c.Do(t.Context(), "GET", "sys/seal-status", nil)
		done <- err
	}()
	require.Eventually(t, func() bool { return len(p.Requests("sys/seal-status")) == 1 }, patience, 5*time.Millisecond)
	p.Clear()
	require.NoError(t, <-done, "the delay is over")
}

func TestProxyOfAServerThatIsDown(t *testing.T) {
	t.Parallel()
	s := vaulttest.New(t, nil)
	p := vaulttest.NewProxy(t, s)
	c := &vaultserver.Client{Addr: p.Addr(), Token: s.RootToken()}
	require.NoError(t, s.Stop(t.Context()))
	_, err := c.Do(t.Context(), "GET", "sys/mounts", nil)
	require.Error(t, err)
	require.False(t, errors.As(err, new(*vaultserver.Error)))
	require.NoError(t, s.Start(t.Context()))
	_, err = c.Do(t.Context(), "GET", "sys/mounts", nil)
	require.NoError(t, err)
}
