package vaulttest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/internal/vaultserver"
	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
)

func TestTokenMayDoNoMoreThanItSays(t *testing.T) {
	t.Parallel()
	s := vaulttest.Server(t)
	rule := vaulttest.Rule("sys/mounts", "read")
	for name, c := range map[string]struct {
		token             vaulttest.Token
		lookUp, seeMounts bool
	}{
		"default":        {vaulttest.Token{}, true, false},
		"nothing":        {vaulttest.Token{NoDefault: true}, false, false},
		"rules":          {vaulttest.Token{Policy: rule}, true, true},
		"rules, no more": {vaulttest.Token{Policy: rule, NoDefault: true}, false, true},
	} {
		role := vaulttest.NewAppRole(t, s, c.token)
		res, err := as(s, "").Do(t.Context(), "PUT", "auth/"+role.Mount+"/login",
			map[string]any{"role_id": role.RoleID, "secret_id": role.SecretID})
		require.NoError(t, err)
		for _, token := range []string{vaulttest.NewToken(t, s, c.token), res.Auth.ClientToken} {
			for path, allowed := range map[string]bool{"auth/token/lookup-self": c.lookUp, "sys/mounts": c.seeMounts} {
				if !allowed {
					require.Equal(t, http.StatusForbidden, refusal(t, as(s, token), "GET", path, nil).Status, "%s: %s", name, path)
					continue
				}
				_, err := as(s, token).Do(t.Context(), "GET", path, nil)
				require.NoError(t, err, "%s: %s", name, path)
			}
		}
	}
}

func TestTokenLife(t *testing.T) {
	t.Parallel()
	s := vaulttest.Server(t)
	lookup := func(token string) map[string]any {
		res, err := as(s, token).Do(t.Context(), "GET", "auth/token/lookup-self", nil)
		require.NoError(t, err)
		return res.Data
	}
	renew := func(token string) *vaultserver.Response {
		res, err := as(s, token).Do(t.Context(), "PUT", "auth/token/renew-self", nil)
		require.NoError(t, err)
		return res
	}
	bounded := vaulttest.NewToken(t, s, vaulttest.Token{TTL: 20 * time.Second, MaxTTL: 21 * time.Second})
	require.EqualValues(t, 21, lookup(bounded)["explicit_max_ttl"])
	require.Eventually(t, func() bool { return renew(bounded).Auth.LeaseDuration < 20 }, patience, 200*time.Millisecond)

	periodic := vaulttest.NewToken(t, s, vaulttest.Token{Period: 20 * time.Second})
	require.EqualValues(t, 20, lookup(periodic)["period"])
	require.Equal(t, 20, renew(periodic).Auth.LeaseDuration)

	ended := vaulttest.NewToken(t, s, vaulttest.Token{TTL: time.Second})
	require.Eventually(t, func() bool {
		_, err := as(s, ended).Do(t.Context(), "GET", "auth/token/lookup-self", nil)
		return err != nil
	}, patience, 50*time.Millisecond)
	require.Equal(t, http.StatusForbidden, refusal(t, as(s, ended), "GET", "auth/token/lookup-self", nil).Status)
}

func TestTokenTakesItsLeasesWithIt(t *testing.T) {
	t.Parallel()
	s := vaulttest.Server(t)
	e := vaulttest.Database(t, s, pgtest.Database(t))
	path := e.Role("app", vaulttest.Role{TTL: time.Hour})
	rules := vaulttest.Rule(path, "read") + vaulttest.Rule("auth/token/create", "update")
	gone := func() bool { return len(e.Users()) == 0 }
	use := func(token string) {
		res, err := as(s, token).Do(t.Context(), "GET", path, nil)
		require.NoError(t, err)
		require.Equal(t, 3600, res.LeaseDuration, "whatever the token's own life")
		require.Len(t, e.Users(), 1)
	}

	token := vaulttest.NewToken(t, s, vaulttest.Token{Policy: rules})
	use(token)
	vaulttest.Do(t, s, "PUT", "auth/token/revoke", map[string]any{"token": token})
	require.Eventually(t, gone, patience, 50*time.Millisecond)

	parent := vaulttest.NewToken(t, s, vaulttest.Token{Policy: rules})
	child := vaulttest.NewToken(t, s, vaulttest.Token{Parent: parent})
	use(child)
	vaulttest.Do(t, s, "PUT", "auth/token/revoke", map[string]any{"token": parent})
	require.Eventually(t, gone, patience, 50*time.Millisecond)
	require.Equal(t, http.StatusForbidden, refusal(t, as(s, child), "GET", path, nil).Status)

	use(vaulttest.NewToken(t, s, vaulttest.Token{Policy: rules, TTL: 6 * time.Second}))
	require.Eventually(t, gone, patience, 50*time.Millisecond)
}

func TestBatchToken(t *testing.T) {
	t.Parallel()
	s := vaulttest.Server(t)
	e := vaulttest.Database(t, s, pgtest.Database(t))
	path := e.Role("app", vaulttest.Role{TTL: time.Hour})
	token := vaulttest.NewToken(t, s, vaulttest.Token{Policy: vaulttest.Rule(path, "read"), Batch: true, TTL: 30 * time.Second})
	res, err := as(s, token).Do(t.Context(), "GET", path, nil)
	require.NoError(t, err)
	require.LessOrEqual(t, res.LeaseDuration, 30, "its leases are cut at its own end")
}

func TestAppRole(t *testing.T) {
	t.Parallel()
	s := vaulttest.Server(t)
	kv := vaulttest.KV(t, s, 1)
	vaulttest.Do(t, s, "PUT", kv+"/a", map[string]any{"x": "y"})
	role := vaulttest.NewAppRole(t, s, vaulttest.Token{Policy: vaulttest.Rule(kv+"/a", "read"), TTL: time.Minute, MaxTTL: time.Hour})
	res, err := as(s, "").Do(t.Context(), "PUT", "auth/"+role.Mount+"/login",
		map[string]any{"role_id": role.RoleID, "secret_id": role.SecretID})
	require.NoError(t, err)
	require.Equal(t, 60, res.Auth.LeaseDuration)
	require.True(t, res.Auth.Renewable)
	_, err = as(s, res.Auth.ClientToken).Do(t.Context(), "GET", kv+"/a", nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, refusal(t, as(s, res.Auth.ClientToken), "GET", kv+"/b", nil).Status)
}
