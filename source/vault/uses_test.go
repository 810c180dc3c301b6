package vault_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/vault"
)

func TestALoginWhoseTokensHaveLimitedUsesIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	role := vaulttest.NewAppRole(t, b.Server, vaulttest.Token{TTL: time.Hour})
	vaulttest.Do(t, b.Server, "POST", "auth/"+role.Mount+"/role/app", map[string]any{"token_num_uses": 5})
	_, err := vault.Login(t.Context(), b.client(""), appRole{role}, &vault.LoginOptions{Logger: logger(t)})
	var field *source.FieldError
	require.ErrorAs(t, err, &field, "its leases would end with its last use")
	require.Equal(t, "num_uses", field.Field)
	require.Empty(t, vaulttest.Leases(t, b.Server, "auth/"+role.Mount+"/login"), "and it is not left behind")
}
