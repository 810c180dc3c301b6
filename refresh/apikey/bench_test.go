package apikey_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh/apikey"
)

// nothing answers at once.
type nothing struct{ resp http.Response }

func (n *nothing) RoundTrip(*http.Request) (*http.Response, error) { return &n.resp, nil }

// static is the plain transport of a key that never changes.
type static struct{ base http.RoundTripper }

func (s static) RoundTrip(req *http.Request) (*http.Response, error) {
	keyed := req.Clone(req.Context())
	keyed.Header.Set("Authorization", "Bearer key")
	return s.base.RoundTrip(keyed)
}

func BenchmarkRoundTrip(b *testing.B) {
	_, r := keep(b, "key")
	base := &nothing{http.Response{StatusCode: http.StatusOK}}
	follows, err := apikey.New(b.Context(), r, "https://api.example", &apikey.Options{Base: base})
	require.NoError(b, err)
	defer follows.Close()
	for name, tr := range map[string]http.RoundTripper{"raw": static{base}, "managed": follows} {
		b.Run(name, func(b *testing.B) {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, api, nil)
			require.NoError(b, err)
			req.Header.Set("Accept", "application/json")
			b.ReportAllocs()
			for b.Loop() {
				_, _ = tr.RoundTrip(req) //nolint:bodyclose // there is none
			}
		})
	}
}
