package vault_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/source/vault"
)

func TestSourcesPrintTheirPath(t *testing.T) {
	for want, src := range map[string]any{
		`vault.Dynamic("database/creds/app")`:       vault.Dynamic(nil, "/database/creds/app", nil),
		`vault.Static("database/static-creds/app")`: vault.Static(nil, "database/static-creds/app", nil),
		`vault.KV("secret/data/app")`:               vault.KV(nil, "secret", "app", nil),
		`vault.Session`:                             &vault.Session{},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			require.Equal(t, want, fmt.Sprintf(verb, src))
		}
	}
}
