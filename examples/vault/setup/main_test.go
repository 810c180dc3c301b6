package setup_test

import (
	"os"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/examples/vault/setup"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start starts servers for one test.
func start(t *testing.T) *setup.Lab {
	t.Helper()
	lab, err := setup.Start(t.Context(), setup.Options{TTL: time.Hour, MaxTTL: 24 * time.Hour, TokenTTL: time.Hour, Log: os.Stderr})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, lab.Close()) })
	return lab
}

func clientOf(t *testing.T, lab *setup.Lab) *api.Client {
	t.Helper()
	client, err := lab.Client()
	require.NoError(t, err)
	t.Cleanup(client.CloneConfig().HttpClient.CloseIdleConnections)
	return client
}
