package setup_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/api/auth/approle"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/examples/vault/setup"
	"github.com/rekey-go/rekey/internal/vaultserver"
	"github.com/rekey-go/rekey/source/vault"
)

// What a service is denied without each rule of the policy.
var needs = map[string]string{
	"database/creds/app":     "no user",
	"sys/leases/revoke":      "the user stays until its lease ends",
	"sys/leases/renew":       "the user cannot outlive an outage of the database engine",
	"auth/token/renew-self":  "a login takes the place of each renewal",
	"auth/token/lookup-self": "a refusal is taken for the end of the token: a login in vain",
	"auth/token/revoke-self": "the token stays until it ends",
}

var rule = regexp.MustCompile(`(?ms)^path "([^"]+)" \{.*?^\}\n`)

func TestPolicyHasExactlyWhatIsNeeded(t *testing.T) {
	lab := start(t)
	rules := rule.FindAllStringSubmatch(setup.Policy, -1)
	require.Len(t, rules, len(needs))
	t.Run("complete", func(t *testing.T) {
		t.Parallel()
		require.Empty(t, trouble(t, lab, "complete", setup.Policy))
	})
	for i, r := range rules {
		path := r[1]
		t.Run("without "+path, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, needs, path)
			without := strings.Replace(setup.Policy, r[0], "", 1)
			require.NotEqual(t, setup.Policy, without)
			require.Equal(t, []string{needs[path]}, trouble(t, lab, fmt.Sprintf("without-%d", i), without))
		})
	}
}

// trouble lives through all that a policy has to do with, and returns what was
// not possible.
func trouble(t *testing.T, lab *setup.Lab, name, policy string) (all []string) {
	t.Helper()
	ctx := t.Context()
	session, token := login(t, lab, name, policy, time.Hour)
	client := clientOf(t, lab)
	c, err := vault.Dynamic(client, setup.Path, &vault.Options{Session: session}).Credential(ctx)
	if lacks(t, err, "database/creds/app") {
		return []string{needs["database/creds/app"]}
	}
	if _, err := c.Lease.Renew(ctx); lacks(t, err, "sys/leases/renew") {
		all = append(all, needs["sys/leases/renew"])
	}
	if lacks(t, c.Lease.Revoke(ctx), "sys/leases/revoke") {
		all = append(all, needs["sys/leases/revoke"])
	}

	// A path that is not allowed, asked for again and again: the token is
	// doubted once a second, and is good.
	other := vault.Dynamic(client, "database/creds/other", &vault.Options{Session: session})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end) && session.Health().Logins == 1; <-tick.C {
		_, err := other.Credential(ctx)
		require.True(t, lacks(t, err, "database/creds/other"))
	}
	if session.Health().Logins > 1 {
		all = append(all, needs["auth/token/lookup-self"])
	}

	brief, _ := login(t, lab, name+"-brief", policy, 9*time.Second) // renewed after 3 s
	require.Eventually(t, func() bool { h := brief.Health(); return h.Renewals > 0 || h.Logins > 1 }, time.Minute, 10*time.Millisecond)
	if brief.Health().Renewals == 0 {
		all = append(all, needs["auth/token/renew-self"])
	}

	session.Close()
	_, err = lab.Vault.Do(ctx, "PUT", "auth/token/lookup", map[string]any{"token": token()})
	if err == nil {
		all = append(all, needs["auth/token/revoke-self"])
	} else {
		var refused *vaultserver.Error
		require.ErrorAs(t, err, &refused)
	}
	return all
}

// lacks reports whether a request was denied at path. It must not have failed
// otherwise.
func lacks(t *testing.T, err error, path string) bool {
	t.Helper()
	if err == nil {
		return false
	}
	var denied *vault.Error
	require.True(t, errors.As(err, &denied), "%v", err)
	require.Equal(t, vault.Permission, denied.Kind, "%v", err)
	require.Equal(t, path, denied.Path)
	require.ErrorContains(t, err, path)
	return true
}

// login logs in with a policy and returns the token of now, too.
func login(t *testing.T, lab *setup.Lab, name, policy string, ttl time.Duration) (s *vault.Session, token func() string) {
	t.Helper()
	role, secret, err := lab.AppRole(t.Context(), name, policy, setup.Options{TokenTTL: ttl})
	require.NoError(t, err)
	method, err := approle.NewAppRoleAuth(role, &approle.SecretID{FromString: secret})
	require.NoError(t, err)
	w := &witness{AuthMethod: method}
	s, err = vault.Login(t.Context(), clientOf(t, lab), w, &vault.LoginOptions{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s, func() string { return w.token }
}

// A witness sees the tokens of logins, which come one at a time and are over
// when the session is closed.
type witness struct {
	api.AuthMethod
	token string
}

func (w *witness) Login(ctx context.Context, client *api.Client) (*api.Secret, error) {
	s, err := w.AuthMethod.Login(ctx, client)
	if err == nil {
		w.token = s.Auth.ClientToken
	}
	return s, err
}
