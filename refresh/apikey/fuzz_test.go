package apikey_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/refresh/apikey"
	"github.com/rekey-go/rekey/source"
)

// Whatever a key is: either it is refused, or a server gets it as it is.
func FuzzKey(f *testing.F) {
	for _, key := range []string{"k1", "a b", " a", "a\n", "a\r\nX-Admin: 1", "ä", "\x00", "Bearer x"} {
		f.Add(key)
	}
	var got string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("Authorization") }))
	f.Cleanup(server.Close)
	base := server.Client().Transport
	f.Fuzz(func(t *testing.T, key string) {
		src := source.Static("orders", source.NewSecret(key))
		r, err := refresh.New(t.Context(), src, &refresh.Options{Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		defer r.Close()
		tr, err := apikey.New(t.Context(), r, server.URL, &apikey.Options{Base: base})
		if err != nil {
			return
		}
		defer tr.Close()
		assert.Equal(t, http.StatusOK, call(t, tr, http.MethodGet, server.URL, nil))
		assert.Equal(t, "Bearer "+key, got)
	})
}
