package keyset_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/refresh/keyset"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/jwk"
)

func TestVerifierFollows(t *testing.T) {
	store, r := keep(t, cred("k0", generate(jwk.EdDSA)))
	set := newSet(t, r, keyset.Options{})
	var asked atomic.Int64
	var broken atomic.Pointer[http.HandlerFunc]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if h := broken.Load(); h != nil {
			(*h)(w, r)
			return
		}
		set.Handler(0).ServeHTTP(w, r)
	}))
	defer server.Close()
	client := server.Client()
	defer client.CloseIdleConnections()
	rv, err := refresh.New(t.Context(), keyset.Published(server.URL, client), &refresh.Options{Poll: -1, Logger: quiet})
	require.NoError(t, err)
	defer rv.Close()
	v, err := keyset.NewVerifier(t.Context(), rv, nil)
	require.NoError(t, err)
	defer v.Close()
	token := func() string {
		text, err := set.Sign(claims())
		require.NoError(t, err)
		return text
	}
	old := token()
	require.NoError(t, v.Verify(old))

	// A key that was not published before it signs: the verifier finds it all the same.
	store.Set(cred("k1", generate(jwk.ES256)))
	require.NoError(t, r.Refresh(t.Context()))
	require.ErrorIs(t, v.Verify(token()), keyset.ErrUnknownKey)
	require.Eventually(t, func() bool { return v.Verify(token()) == nil }, 10*time.Second, time.Millisecond)
	require.NoError(t, v.Verify(old))

	before := asked.Load()
	for range 1000 {
		require.Error(t, v.Verify("eyJhbGciOiJFZERTQSIsImtpZCI6InVua25vd24ifQ.e30.AAAA"))
	}
	assert.LessOrEqual(t, asked.Load(), before+2, "who sends nonsense does not burden the issuer")

	for name, h := range map[string]http.HandlerFunc{
		"down":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"no set": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"empty":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) },
		"unknown": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[{"kty":"oct","kid":"k1","k":"AAAA"}]}`))
		},
		"too long": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(strings.Repeat(" ", 2<<20) + `{}`))
		},
	} {
		broken.Store(&h)
		require.Error(t, rv.Refresh(t.Context()), name)
		require.NoError(t, v.Verify(token()), name)
		assert.Equal(t, refresh.Degraded, rv.Health().State, name)
	}
}

func TestASetAsPassword(t *testing.T) {
	_, r := keep(t, cred("u", source.NewSecret(`{"keys":[]}`)))
	_, err := keyset.NewVerifier(t.Context(), r, nil)
	require.ErrorIs(t, err, refresh.ErrRejected)
	_, err = keyset.Published("://", nil).Credential(t.Context())
	require.True(t, source.IsPermanent(err))
}

// Whatever is sent: it is refused, or it is what the issuer has signed.
func FuzzVerify(f *testing.F) {
	_, r := keep(f, cred("k0", long("a")))
	set := newSet(f, r, keyset.Options{HMAC: true})
	good, err := set.Sign(map[string]any{"exp": 4102444800, "sub": "anna"}) // 2100
	require.NoError(f, err)
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Add("eyJhbGciOiJub25lIiwia2lkIjoiazAifQ." + strings.Split(good, ".")[1] + ".")
	f.Add(`{"payload":"e30","signatures":[]}`)
	f.Fuzz(func(t *testing.T, token string) {
		var got jwt.Claims
		if set.Verify(token, &got) != nil {
			return
		}
		assert.Equal(t, "anna", got.Subject)
		assert.Equal(t, strings.Split(good, ".")[1], strings.Split(token, ".")[1])
	})
}
