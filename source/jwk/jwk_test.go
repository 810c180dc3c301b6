package jwk_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/jwk"
)

// The keys of RFC 8037, appendix A.2, and RFC 7517, appendix A.1.
const known = `{"keys": [
	{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
	{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"enc","kid":"1"},
	{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"sig","kid":"ec"},
	{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"rsa"},
	{"kty":"oct","k":"c2VjcmV0","kid":"symmetric"},
	{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
]}`

func TestParseSet(t *testing.T) {
	set, err := jwk.ParseSet([]byte(known))
	require.NoError(t, err)
	require.Len(t, set, 3)
	for id, want := range map[string]jwk.Algorithm{"ed": jwk.EdDSA, "ec": jwk.ES256, "rsa": jwk.RS256} {
		key, err := jwk.New(id, set[id])
		require.NoError(t, err)
		require.Equal(t, want, key.Algorithm)
	}
	for _, text := range []string{"", "null", "{}", `{"keys": 1}`, "[]", `{"keys": null}`} {
		_, err := jwk.ParseSet([]byte(text))
		require.Error(t, err, text)
	}
}

func TestGenerate(t *testing.T) {
	for _, a := range []jwk.Algorithm{jwk.EdDSA, jwk.ES256, jwk.RS256} {
		private, err := jwk.Generate(a)
		require.NoError(t, err)
		key, got, err := jwk.Private(private)
		require.NoError(t, err)
		require.Equal(t, a, got)
		published, err := jwk.New("kid", key.Public())
		require.NoError(t, err)
		public, err := published.Public()
		require.NoError(t, err)
		require.True(t, public.(interface{ Equal(crypto.PublicKey) bool }).Equal(key.Public()), a)
	}
	_, err := jwk.Generate("none")
	require.Error(t, err)
}

func TestPrivate(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(p384)
	require.NoError(t, err)
	good, err := jwk.Generate(jwk.EdDSA)
	require.NoError(t, err)
	for _, text := range []string{
		"", "canary-0123456789", good.Reveal()[:60],
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("canary-0123456789")})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
	} {
		_, _, err := jwk.Private(source.NewSecret(text))
		require.Error(t, err)
		require.NotContains(t, err.Error(), "canary")
	}
}

// What is read is what would be written, and nothing else is read.
func FuzzParseSet(f *testing.F) {
	f.Add([]byte(known))
	f.Add([]byte(`{"keys":[{"kty":"RSA","kid":"a","n":"","e":"AQAB"},{"kty":"EC","crv":"P-256","kid":"b","x":"AA","y":"AA"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		set, err := jwk.ParseSet(text)
		if err != nil {
			return
		}
		var again jwk.Set
		for id, public := range set {
			key, err := jwk.New(id, public)
			require.NoError(t, err)
			again.Keys = append(again.Keys, key)
		}
		if len(set) == 0 {
			return
		}
		text, err = json.Marshal(again)
		require.NoError(t, err)
		second, err := jwk.ParseSet(text)
		require.NoError(t, err)
		require.Len(t, second, len(set))
		for id, public := range set {
			require.True(t, public.(interface{ Equal(crypto.PublicKey) bool }).Equal(second[id]))
		}
	})
}
