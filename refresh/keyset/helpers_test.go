package keyset_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/refresh/keyset"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/jwk"
	"github.com/rekey-go/rekey/source/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func generate(a jwk.Algorithm) source.Secret {
	secret, err := jwk.Generate(a)
	if err != nil {
		panic(err)
	}
	return secret
}

// long is a secret for HMAC.
func long(name string) source.Secret { return source.NewSecret(strings.Repeat(name, 32)) }

func cred(id string, secret source.Secret) source.Credential {
	return source.Credential{Username: id, Password: secret}
}

// with adds a key that comes next.
func with(c source.Credential, id string, secret source.Secret) source.Credential {
	return c.WithFields(map[string]source.Secret{"next": secret, "next_kid": source.NewSecret(id)})
}

var quiet = slog.New(slog.DiscardHandler)

// keep returns a refresher that looks at its store only when told to.
func keep(t testing.TB, c source.Credential) (*sourcetest.Script, *refresh.Refresher) {
	t.Helper()
	s := sourcetest.NewScript()
	s.Set(c)
	r, err := refresh.New(t.Context(), s, &refresh.Options{Poll: -1, Logger: quiet})
	require.NoError(t, err)
	t.Cleanup(r.Close)
	return s, r
}

func newSet(t testing.TB, r *refresh.Refresher, o keyset.Options) *keyset.Set {
	t.Helper()
	o.Also = []string{"next"}
	s, err := keyset.New(t.Context(), r, &o)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// claims are good for an hour.
func claims() jwt.Claims {
	return jwt.Claims{Issuer: "us", Subject: "anna", Audience: jwt.Audience{"shop"}, Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour))}
}
