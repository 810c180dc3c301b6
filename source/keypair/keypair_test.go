package keypair_test

import (
	"encoding/pem"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/testca"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/keypair"
)

func credential(t testing.TB) source.Credential {
	t.Helper()
	k, err := testca.New()
	require.NoError(t, err)
	return credentialOf(string(k.Key), string(k.Cert))
}

func credentialOf(key, chain string) source.Credential {
	return source.Credential{Password: source.NewSecret(key)}.
		WithFields(map[string]source.Secret{keypair.ChainField: source.NewSecret(chain)})
}

func TestPair(t *testing.T) {
	good, other := credential(t), credential(t)
	chain, _ := good.Field(keypair.ChainField)
	pair, err := keypair.Pair(good)
	require.NoError(t, err)
	require.NoError(t, pair.Leaf.VerifyHostname("localhost"))
	end, err := keypair.Expires(good)
	require.NoError(t, err)
	require.Equal(t, pair.Leaf.NotAfter, end)

	const canary = "canary-0123456789"
	refused := map[string]source.Credential{
		"nothing":            {},
		"no chain":           {Password: good.Password},
		"no key":             credentialOf("", chain.Reveal()),
		"another's key":      credentialOf(other.Password.Reveal(), chain.Reveal()),
		"key that is no PEM": credentialOf(canary, chain.Reveal()),
		"key that is no key": credentialOf(block("PRIVATE KEY", canary), chain.Reveal()),
		"chain, no PEM":      credentialOf(good.Password.Reveal(), canary),
		"chain, no DER":      credentialOf(good.Password.Reveal(), block("CERTIFICATE", canary)),
		"the other way":      credentialOf(chain.Reveal(), good.Password.Reveal()),
	}
	for name, c := range refused {
		t.Run(name, func(t *testing.T) {
			_, err := keypair.Pair(c)
			require.Error(t, err)
			require.NotContains(t, err.Error(), canary)
		})
	}
	for _, name := range []string{"nothing", "no chain", "chain, no PEM", "chain, no DER", "the other way"} {
		_, err := keypair.Expires(refused[name])
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), canary)
	}
}

func block(kind, bytes string) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte(bytes)}))
}

// Whatever is read has a certificate that ends when Expires says.
func FuzzPair(f *testing.F) {
	good := credential(f)
	chain, _ := good.Field(keypair.ChainField)
	f.Add(good.Password.Reveal(), chain.Reveal())
	f.Add(good.Password.Reveal(), block("X509 CRL", "first")+chain.Reveal())
	f.Add("", "")
	f.Fuzz(func(t *testing.T, key, chain string) {
		c := credentialOf(key, chain)
		pair, err := keypair.Pair(c)
		if err != nil {
			return
		}
		end, err := keypair.Expires(c)
		require.NoError(t, err)
		require.Equal(t, pair.Leaf.NotAfter, end)
	})
}
