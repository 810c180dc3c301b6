package contract_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/smserver/contract"
	"github.com/rekey-go/rekey/internal/smserver/moto"
	"github.com/rekey-go/rekey/internal/smserver/smtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEmulator(t *testing.T) {
	contract.Run(t, smtest.New(t).Client(t), nil)
}

func TestMoto(t *testing.T) {
	server, err := moto.Start(t.Context(), &moto.Options{Log: t.Output()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	contract.Run(t, smtest.Client(t, server.URL), contract.Moto)
}
