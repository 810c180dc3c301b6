package vaulttest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rekey-go/rekey/internal/vaultserver"
)

// Do asks as root, and the test fails if Vault refuses.
func Do(t testing.TB, s *vaultserver.Server, method, path string, in any) *vaultserver.Response {
	t.Helper()
	res, err := s.Do(context.WithoutCancel(t.Context()), method, path, in)
	if err != nil {
		t.Fatalf("vaulttest: %v", err)
	}
	return res
}

// KV mounts a key-value engine of version 1 or 2 for the test and returns its
// mount. Write with Do(t, s, "PUT", mount+"/path", …) or mount+"/data/path".
func KV(t testing.TB, s *vaultserver.Server, version int) (mount string) {
	t.Helper()
	mount = fmt.Sprintf("kv%d_%s", version, unique())
	Do(t, s, "POST", "sys/mounts/"+mount, map[string]any{
		"type": "kv", "options": map[string]any{"version": fmt.Sprint(version)},
	})
	undo(t, s, "sys/mounts/"+mount)
	return mount
}

// Leases are the IDs of the leases below a path that are not revoked yet.
func Leases(t testing.TB, s *vaultserver.Server, path string) []string {
	t.Helper()
	path = strings.TrimSuffix(path, "/") + "/"
	res, err := s.Do(context.WithoutCancel(t.Context()), "LIST", "sys/leases/lookup/"+path, nil)
	var refused *vaultserver.Error
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		return nil
	}
	if err != nil {
		t.Errorf("vaulttest: %v", err)
		return nil
	}
	keys, _ := res.Data["keys"].([]any)
	ids := make([]string, len(keys))
	for i, key := range keys {
		ids[i] = path + fmt.Sprint(key)
	}
	return ids
}

// Rule is one rule of a policy; rules are joined by +:
//
//	vaulttest.Rule(path, "read") + vaulttest.Rule("sys/leases/revoke", "update")
func Rule(path string, capabilities ...string) string {
	return fmt.Sprintf("path %q { capabilities = [\"%s\"] }\n", path, strings.Join(capabilities, `", "`))
}

// Token says what a token may do and for how long. It has the default policy
// too, which lets it look itself up, renew itself and renew leases (not revoke
// them), unless NoDefault is set. Durations are whole seconds.
type Token struct {
	Policy    string        // rules; empty: none of its own
	NoDefault bool          // without the default policy
	TTL       time.Duration // zero: Vault's 768 h
	MaxTTL    time.Duration // zero: Vault's
	Period    time.Duration // makes the token periodic
	Batch     bool          // a batch token, which cannot be renewed or revoked

	// Parent is the token that this one ends with, and whose policies it has:
	// Policy stays empty. The parent needs Rule("auth/token/create", "update").
	// Empty: no parent.
	Parent string
}

// NewToken makes a token.
func NewToken(t testing.TB, s *vaultserver.Server, o Token) string {
	t.Helper()
	in := map[string]any{
		"policies": policies(t, s, o), "no_default_policy": o.NoDefault,
		"ttl": seconds(t, o.TTL), "explicit_max_ttl": seconds(t, o.MaxTTL), "period": seconds(t, o.Period),
		"type": kind(o),
	}
	client, path := s.Root(), "auth/token/create-orphan"
	if o.Parent != "" {
		client.Token, path = o.Parent, "auth/token/create"
		delete(in, "policies")
	}
	res, err := client.Do(context.WithoutCancel(t.Context()), "POST", path, in)
	if err != nil {
		t.Fatalf("vaulttest: %v", err)
	}
	return res.Auth.ClientToken
}

// AppRole is a way to log in: PUT auth/MOUNT/login {role_id, secret_id}.
type AppRole struct {
	Mount            string // without auth/
	RoleID, SecretID string
}

// NewAppRole mounts an AppRole method for the test; who logs in gets a token as
// o says, where Parent does not apply.
func NewAppRole(t testing.TB, s *vaultserver.Server, o Token) *AppRole {
	t.Helper()
	a := &AppRole{Mount: "approle_" + unique()}
	Do(t, s, "POST", "sys/auth/"+a.Mount, map[string]any{"type": "approle"})
	undo(t, s, "sys/auth/"+a.Mount)
	role := "auth/" + a.Mount + "/role/app"
	Do(t, s, "POST", role, map[string]any{
		"token_policies": policies(t, s, o), "token_no_default_policy": o.NoDefault,
		"token_ttl": seconds(t, o.TTL), "token_max_ttl": seconds(t, o.MaxTTL), "token_period": seconds(t, o.Period),
		"token_type": kind(o),
	})
	a.RoleID, _ = Do(t, s, "GET", role+"/role-id", nil).Data["role_id"].(string)
	a.SecretID, _ = Do(t, s, "PUT", role+"/secret-id", nil).Data["secret_id"].(string)
	return a
}

// nothing is a policy that does not exist, and so allows nothing.
const nothing = "nothing"

// policies writes a token's rules as a policy of its own. The list is never
// empty: Vault would give the token those of the one that makes it, root's.
func policies(t testing.TB, s *vaultserver.Server, o Token) []string {
	t.Helper()
	switch {
	case o.Policy == "" && o.NoDefault:
		return []string{nothing}
	case o.Policy == "":
		return []string{"default"}
	}
	name := "test_" + unique()
	Do(t, s, "PUT", "sys/policies/acl/"+name, map[string]any{"policy": o.Policy})
	undo(t, s, "sys/policies/acl/"+name)
	return []string{name}
}

func kind(o Token) string {
	if o.Batch {
		return "batch"
	}
	return "service"
}

// undo deletes what a path made when the test ends. A server of the test's own
// may be down by then.
func undo(t testing.TB, s *vaultserver.Server, path string) {
	t.Cleanup(func() {
		if _, err := s.Do(context.Background(), "DELETE", path, nil); err != nil && s == shared.server {
			t.Errorf("vaulttest: %v", err)
		}
	})
}

// seconds are Vault's whole ones.
func seconds(t testing.TB, d time.Duration) int {
	t.Helper()
	if d%time.Second != 0 {
		t.Fatalf("vaulttest: %s is not in whole seconds", d)
	}
	return int(d / time.Second)
}
