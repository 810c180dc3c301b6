package keyset_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/refresh/keyset"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/jwk"
)

func TestSetFollows(t *testing.T) {
	for _, symmetric := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			secrets := []source.Secret{generate(jwk.EdDSA), generate(jwk.ES256), generate(jwk.RS256)}
			if symmetric {
				secrets = []source.Secret{long("a"), long("b"), long("c")}
			}
			store, r := keep(t, cred("k0", secrets[0]))
			set := newSet(t, r, keyset.Options{Keep: time.Minute, HMAC: symmetric})
			published := func() (ids []string) {
				w := httptest.NewRecorder()
				set.Handler(5*time.Minute).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
				assert.Equal(t, "public, max-age=300", w.Header().Get("Cache-Control"))
				var answer jwk.Set
				require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
				for _, k := range answer.Keys {
					ids = append(ids, k.ID)
				}
				return ids
			}
			publishes := func(ids ...string) {
				t.Helper()
				if symmetric {
					ids = nil
				}
				assert.Equal(t, ids, published())
			}
			tokens := make([]string, 3)
			sign := func(n int) {
				t.Helper()
				var err error
				tokens[n], err = set.Sign(claims())
				require.NoError(t, err)
				parsed, err := jwt.ParseSigned(tokens[n], []jose.SignatureAlgorithm{jose.EdDSA, jose.ES256, jose.RS256, jose.HS256})
				require.NoError(t, err)
				assert.Equal(t, fmt.Sprint("k", n), parsed.Headers[0].KeyID)
			}
			sign(0)
			publishes("k0")
			store.Set(with(cred("k0", secrets[0]), "k1", secrets[1]))
			require.NoError(t, r.Refresh(t.Context()))
			publishes("k0", "k1")
			sign(0)
			for n := 1; n < 3; n++ {
				store.Set(cred(fmt.Sprint("k", n), secrets[n]))
				require.NoError(t, r.Refresh(t.Context()))
				sign(n)
				for _, token := range tokens[:n+1] {
					var got jwt.Claims
					require.NoError(t, set.Verify(token, &got))
					assert.Equal(t, "anna", got.Subject)
				}
			}
			publishes("k2", "k1", "k0")
			time.Sleep(time.Minute)
			publishes("k2")
			require.ErrorIs(t, set.Verify(tokens[1]), keyset.ErrUnknownKey)
			require.NoError(t, set.Verify(tokens[2]))

			store.Set(cred("k0", secrets[0]))
			require.NoError(t, r.Refresh(t.Context()))
			require.NoError(t, set.Verify(tokens[2]))
			set.Forget()
			require.ErrorIs(t, set.Verify(tokens[2]), keyset.ErrUnknownKey)
			r.Close()
		})
	}
}

// A store may change the secret and keep the ID.
func TestOneIDForAllKeys(t *testing.T) {
	store, r := keep(t, cred("app", long("a")))
	set := newSet(t, r, keyset.Options{HMAC: true})
	old, err := set.Sign(claims())
	require.NoError(t, err)
	store.Set(cred("app", long("b")))
	require.NoError(t, r.Refresh(t.Context()))
	token, err := set.Sign(claims())
	require.NoError(t, err)
	require.NoError(t, set.Verify(old))
	require.NoError(t, set.Verify(token))
	set.Forget()
	require.ErrorIs(t, set.Verify(old), keyset.ErrInvalidToken)
	require.NoError(t, set.Verify(token))
}

func TestABadKeyIsNotAdopted(t *testing.T) {
	good, bad := generate(jwk.ES256), source.NewSecret("CANARY-2b6d "+strings.Repeat("x", 32))
	for name, c := range map[string]source.Credential{
		"no ID":       cred("", good),
		"no PEM":      cred("k1", bad),
		"a secret":    cred("k1", long("a")),
		"a bad next":  with(cred("k1", good), "k2", bad),
		"next has no": with(cred("k1", good), "", good),
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			logger := slog.New(slog.NewJSONHandler(&log, nil))
			store, r := keep(t, cred("k0", good))
			set := newSet(t, r, keyset.Options{})
			store.Set(c)
			err := r.Refresh(t.Context())
			require.ErrorIs(t, err, refresh.ErrRejected)
			logger.Info("all", "error", err, "health", r.Health(), "set", set)
			fmt.Fprintf(&log, "%+v %+v %#v", err, r.Health(), r.Current())
			assert.NotContains(t, log.String(), "CANARY")
			assert.Equal(t, "k0", r.Current().Username)
		})
	}
	_, r := keep(t, cred("k0", source.NewSecret(strings.Repeat("x", 31))))
	_, err := keyset.New(t.Context(), r, &keyset.Options{HMAC: true})
	require.ErrorIs(t, err, refresh.ErrRejected)
	assert.NotContains(t, err.Error(), "xxx")
}

// sign makes a token of any kind.
func sign(t *testing.T, a jose.SignatureAlgorithm, id string, key any, payload any) string {
	t.Helper()
	o := new(jose.SignerOptions)
	if id != "" {
		o = o.WithHeader("kid", id)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: a, Key: key}, o)
	require.NoError(t, err)
	token, err := jwt.Signed(signer).Claims(payload).Serialize()
	require.NoError(t, err)
	return token
}

func TestVerifyRefuses(t *testing.T) {
	secret := generate(jwk.RS256)
	private, _, err := jwk.Private(secret)
	require.NoError(t, err)
	other, _, err := jwk.Private(generate(jwk.RS256))
	require.NoError(t, err)
	key, err := jwk.New("k0", private.Public())
	require.NoError(t, err)
	text, err := json.Marshal(jwk.Set{Keys: []jwk.Key{key}})
	require.NoError(t, err)
	_, r := keep(t, cred("k0", secret))
	expect := keyset.Expect{Issuer: "us", Audience: []string{"shop", "stock"}}
	set := newSet(t, r, keyset.Options{Expect: expect})
	_, r = keep(t, source.Credential{}.WithFields(map[string]source.Secret{keyset.SetField: source.NewSecret(string(text))}))
	verifier, err := keyset.NewVerifier(t.Context(), r, &keyset.VerifierOptions{Expect: expect})
	require.NoError(t, err)
	defer verifier.Close()

	good := sign(t, jose.RS256, "k0", private, claims())
	change := func(f func(*jwt.Claims)) string {
		c := claims()
		f(&c)
		return sign(t, jose.RS256, "k0", private, c)
	}
	at := func(d time.Duration) *jwt.NumericDate { return jwt.NewNumericDate(time.Now().Add(d)) }
	part := strings.Split(good, ".")
	for name, token := range map[string]string{
		"nothing":               "",
		"no token":              "a.b.c",
		"alg none":              "eyJhbGciOiJub25lIiwia2lkIjoiazAifQ." + part[1] + ".",
		"no signature":          part[0] + "." + part[1] + ".",
		"other claims":          part[0] + "." + strings.Split(change(func(c *jwt.Claims) { c.Subject = "root" }), ".")[1] + "." + part[2],
		"HMAC with the modulus": sign(t, jose.HS256, "k0", []byte(key.N), claims()),
		"HMAC with the set":     sign(t, jose.HS256, "k0", text, claims()),
		"another algorithm":     sign(t, jose.PS256, "k0", private, claims()),
		"RS512":                 sign(t, jose.RS512, "k0", private, claims()),
		"another key":           sign(t, jose.RS256, "k0", other, claims()),
		"an unknown ID":         sign(t, jose.RS256, "k9", private, claims()),
		"no ID":                 sign(t, jose.RS256, "", private, claims()),
		"over":                  change(func(c *jwt.Claims) { c.Expiry = at(-2 * time.Minute) }),
		"no end":                change(func(c *jwt.Claims) { c.Expiry = nil }),
		"not yet":               change(func(c *jwt.Claims) { c.NotBefore = at(2 * time.Minute) }),
		"another issuer":        change(func(c *jwt.Claims) { c.Issuer = "them" }),
		"another audience":      change(func(c *jwt.Claims) { c.Audience = jwt.Audience{"them"} }),
		"claims of another kind": sign(t, jose.RS256, "k0", private, map[string]any{
			"iss": "us", "aud": "shop", "exp": time.Now().Add(time.Hour).Unix(), "sub": 7,
		}),
	} {
		var got jwt.Claims
		for _, err := range []error{set.Verify(token, &got), verifier.Verify(token, &got)} {
			require.ErrorIs(t, err, keyset.ErrInvalidToken, name)
			assert.Zero(t, got, name)
			if len(token) > 20 {
				assert.NotContains(t, err.Error(), token[:20])
			}
		}
	}
	for name, token := range map[string]string{
		"good": good, "just over": change(func(c *jwt.Claims) { c.Expiry = at(-30 * time.Second) }),
		"its own": func() string { token, _ := set.Sign(claims()); return token }(),
	} {
		require.NoError(t, set.Verify(token), name)
		require.NoError(t, verifier.Verify(token), name)
	}
	_, err = set.Sign("no object")
	require.Error(t, err)
	assert.ErrorContains(t, set.Verify(good, new(int)), "claims")
}

// A public key is no secret: who treats it so would let everybody sign.
func TestASetOfSecretsTakesNoOther(t *testing.T) {
	_, r := keep(t, cred("k0", long("a")))
	set := newSet(t, r, keyset.Options{HMAC: true})
	private, _, err := jwk.Private(generate(jwk.EdDSA))
	require.NoError(t, err)
	require.ErrorIs(t, set.Verify(sign(t, jose.EdDSA, "k0", private, claims())), keyset.ErrInvalidToken)
	require.ErrorIs(t, set.Verify(sign(t, jose.HS512, "k0", []byte(strings.Repeat("a", 64)), claims())), keyset.ErrInvalidToken)
	require.NoError(t, set.Verify(sign(t, jose.HS256, "k0", []byte(strings.Repeat("a", 32)), claims())))

	w := httptest.NewRecorder()
	set.Handler(0).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
	assert.Equal(t, http.StatusMethodNotAllowed, w.Code)
}
