package vault_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
	"github.com/rekey-go/rekey/source/vault"
)

func TestF19AParentThatCannotBeLookedUpAgainIsNotForgotten(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	parent := vaulttest.NewToken(t, b.Server, vaulttest.Token{
		TTL:    12 * time.Second,
		MaxTTL: 12 * time.Second,
		Policy: vaulttest.Rule("auth/token/create", "update") + vaulttest.Rule("auth/token/lookup-accessor", "update"),
	})
	child := vaulttest.NewToken(t, b.Server, vaulttest.Token{Parent: parent, TTL: time.Hour, Batch: true})
	accessor := vaulttest.Do(t, b.Server, "POST", "auth/token/lookup", map[string]any{"token": parent}).Data["accessor"].(string)
	s := login(t, b.client(child), nil, &vault.LoginOptions{ParentAccessor: accessor})
	require.Equal(t, "parent token", s.Health().Reason)
	end := s.Health().Expires
	b.proxy.Break(vaulttest.Fault{Path: "auth/token/lookup-accessor", Status: http.StatusInternalServerError})
	eventually(t, func() bool { return len(b.proxy.Requests("auth/token/lookup-accessor")) > 2 }, "asked again, in vain")
	require.Equal(t, "parent token", s.Health().Reason)
	require.Equal(t, end, s.Health().Expires)
}
