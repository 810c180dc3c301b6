package apikey_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/refresh/apikey"
)

// ask sends values as Authorization and returns the code.
func ask(h http.Handler, values ...string) int {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, v := range values {
		r.Header.Add("Authorization", v)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

func TestAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, r := keep(t, "k1")
		a, err := apikey.NewAcceptor(t.Context(), r, &apikey.AcceptorOptions{Keep: time.Minute, Also: []string{"next", "previous"}})
		require.NoError(t, err)
		defer a.Close()
		h := a.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		accepts := func(keys ...string) {
			t.Helper()
			for _, k := range []string{"k0", "k1", "k2", "k3", "k4"} {
				want := http.StatusUnauthorized
				for _, accepted := range keys {
					if k == accepted {
						want = http.StatusOK
					}
				}
				assert.Equal(t, want, ask(h, "Bearer "+k), k)
			}
		}
		accepts("k1")
		assert.Zero(t, a.LastOld())
		store.Set(cred("k1", "next", "k2", "previous", "k0"))
		require.NoError(t, r.Refresh(t.Context()))
		accepts("k0", "k1", "k2")
		used := time.Now()
		store.Set(cred("k2", "next", "", "previous", "k1"))
		require.NoError(t, r.Refresh(t.Context()))
		accepts("k1", "k2")
		time.Sleep(time.Second)
		store.Set(cred("k3"))
		require.NoError(t, r.Refresh(t.Context()))
		accepts("k1", "k2", "k3") // k1 was current less than a minute ago
		assert.True(t, a.LastOld().After(used))
		a.Forget()
		accepts("k3")
		store.Set(cred("k4"))
		require.NoError(t, r.Refresh(t.Context()))
		accepts("k3", "k4")
		time.Sleep(time.Minute)
		accepts("k4")
		last := a.LastOld()
		accepts("k4")
		assert.Equal(t, last, a.LastOld(), "it stands still")

		for _, values := range [][]string{nil, {""}, {"Bearer "}, {"Bearer"}, {"k4"}, {"bearer k4"}, {"Bearer k4 "}, {"Bearer k4", "Bearer k4"}, {"Basic k4"}} {
			assert.Equal(t, http.StatusUnauthorized, ask(h, values...), "%q", values)
		}
		r.Close()
	})
}

// A key that nobody knows yet makes the server look, but not at every such request.
func TestUnknownKeysAskTheStoreSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, r := keep(t, "k1")
		a, err := apikey.NewAcceptor(t.Context(), r, nil)
		require.NoError(t, err)
		defer a.Close()
		h := a.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		for range 6000 {
			assert.Equal(t, http.StatusUnauthorized, ask(h, "Bearer wrong"))
			time.Sleep(10 * time.Millisecond)
		}
		assert.Less(t, store.Calls(), 10, "in a minute")
		assert.Equal(t, refresh.Fresh, r.Health().State, "nothing is held against the key")
		time.Sleep(time.Minute)
		store.Set(cred("k2"))
		assert.Equal(t, http.StatusUnauthorized, ask(h, "Bearer k2"))
		synctest.Wait()
		assert.Equal(t, http.StatusOK, ask(h, "Bearer k2"))
		r.Close()
	})
}
