package vault_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
)

func TestALoginReplacesATokenThatCannotBeRenewedForHalfItsLife(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	role := vaulttest.NewAppRole(t, b.Server, vaulttest.Token{TTL: 9 * time.Second})
	s := login(t, b.client(""), appRole{role}, nil)
	// So do methods that compare who renews with who has logged in, after a change of the certificate.
	b.proxy.Break(vaulttest.Fault{Path: "auth/token/renew-self", Status: http.StatusBadRequest})
	throughout(t, func() bool { return s.Health().Logins >= 3 }, func() {
		require.True(t, s.Health().Valid, "never without a token")
	})
}
