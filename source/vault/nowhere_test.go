package vault_test

import (
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
)

func nowhere(t testing.TB) *api.Client { return clientOf(t, "http://127.0.0.1:1", "hvs.none") }

func clientOf(t testing.TB, addr, token string) *api.Client {
	t.Helper()
	config := api.DefaultConfig()
	require.NoError(t, config.Error)
	config.Address = addr
	client, err := api.NewClient(config)
	require.NoError(t, err)
	client.SetToken(token)
	t.Cleanup(config.HttpClient.CloseIdleConnections)
	return client
}
