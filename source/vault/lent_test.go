package vault_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
	"github.com/rekey-go/rekey/source/vault"
)

func TestALentTokenThatMayNotLookItselfUpIsNotGivenUp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	mount := vaulttest.KV(t, b.Server, 2)
	vaulttest.Do(t, b.Server, "PUT", mount+"/data/app", map[string]any{"data": map[string]any{"username": "u", "password": "p"}})
	client := b.client(vaulttest.NewToken(t, b.Server, vaulttest.Token{
		Policy: vaulttest.Rule(mount+"/data/app", "read"), NoDefault: true, TTL: time.Hour,
	}))
	s := login(t, client, nil, &vault.LoginOptions{Poll: 50 * time.Millisecond})
	o := &vault.Options{Session: s}
	get(t, vault.KV(client, mount, "app", o))
	eventually(t, func() bool { return vault.Settled(s) }, "what was just accepted is not asked about again at once")
	_, err := vault.KV(client, mount, "forbidden", o).Credential(t.Context())
	kind(t, err, vault.Permission)
	require.True(t, s.Health().Valid, "one forbidden path does not stop the others")
	get(t, vault.KV(client, mount, "app", o))
}

func TestALentTokenThatVaultAcceptsAgainIsTakenUp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	mount := vaulttest.KV(t, b.Server, 2)
	vaulttest.Do(t, b.Server, "PUT", mount+"/data/app", map[string]any{"data": map[string]any{"username": "u", "password": "p"}})
	client := b.client(vaulttest.NewToken(t, b.Server, vaulttest.Token{
		Policy: vaulttest.Rule(mount+"/data/app", "read"), TTL: time.Hour,
	}))
	s := login(t, client, nil, nil)
	src := vault.KV(client, mount, "app", &vault.Options{Session: s})
	eventually(t, func() bool { return vault.Settled(s) }, "what was just accepted is not asked about again at once")
	b.proxy.Break(vaulttest.Fault{Status: http.StatusForbidden, Body: `{"errors":["permission denied","invalid token"]}`})
	_, err := src.Credential(t.Context())
	kind(t, err, vault.Ended)
	b.proxy.Clear()
	eventually(t, func() bool { return s.Health().Valid }, "it was a mistake, as of a standby that lags behind")
	get(t, src)
}
