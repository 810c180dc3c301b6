package vault_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
)

func TestF09ShutdownSaysThatTheTokenIsNotRevoked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	role := vaulttest.NewAppRole(t, b.Server, vaulttest.Token{TTL: time.Hour})
	logins := "auth/" + role.Mount + "/login"
	s := login(t, b.client(""), appRole{role}, nil)
	b.proxy.Break(vaulttest.Fault{Path: "auth/token/revoke-self", Times: 1, Delay: time.Minute})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begun := time.Now()
	err := s.Shutdown(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "it ends at")
	require.Less(t, time.Since(begun), time.Second)

	b.proxy.Break(vaulttest.Fault{Path: "auth/token/revoke-self", Times: 1, Status: http.StatusForbidden})
	require.ErrorContains(t, s.Shutdown(t.Context()), "permission denied")
	require.Len(t, vaulttest.Leases(t, b.Server, logins), 1)
	require.NoError(t, s.Shutdown(t.Context()), "tried again")
	require.Empty(t, vaulttest.Leases(t, b.Server, logins))
	asked := len(b.proxy.Requests("auth/token/revoke-self"))
	require.NoError(t, s.Shutdown(t.Context()))
	require.Len(t, b.proxy.Requests("auth/token/revoke-self"), asked)
}

func TestShutdownDoesNotWaitForALoginThatHangs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	m := &deaf{held: hold(appRole{vaulttest.NewAppRole(t, b.Server, vaulttest.Token{TTL: 3 * time.Second, Batch: true})})}
	s := login(t, b.client(""), m, nil)
	<-m.began
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begun := time.Now()
	require.ErrorIs(t, s.Shutdown(ctx), context.DeadlineExceeded)
	require.Less(t, time.Since(begun), time.Second)
	close(m.letGo)
	require.NoError(t, s.Shutdown(t.Context()))
}

// A deaf method does not notice that its context ends.
type deaf struct{ *held }

func (d *deaf) Login(ctx context.Context, client *api.Client) (*api.Secret, error) {
	return d.held.Login(context.WithoutCancel(ctx), client)
}
