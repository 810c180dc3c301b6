package vault_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/hashicorp/vault/api"

	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/sourcetest"
	"github.com/rekey-go/rekey/source/vault"
)

// breaks has the proxy answer with text in it, each time in another way.
func (b *bench) breaks(h *sourcetest.Harness, path string, text func() string) {
	h.Break = func(*testing.T) {
		b.proxy.Break(vaulttest.Fault{Path: path, Times: 1, Body: `{"data":{"password":"` + text()})
		b.proxy.Break(vaulttest.Fault{Path: path, Times: 1, Status: http.StatusInternalServerError, Body: "<html>" + text()})
		b.proxy.Break(vaulttest.Fault{Path: path, Body: fmt.Sprintf(`{"lease_id":"l","lease_duration":9,"data":{"username":7,"password":%q}}`, text())})
	}
	h.Mend = func(*testing.T) { b.proxy.Clear() }
}

func TestDynamicKeepsTheRules(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{})
	for name, open := range map[string]func(t *testing.T, client *api.Client) *vault.Options{
		"OwnToken": func(*testing.T, *api.Client) *vault.Options { return nil },
		"Session": func(t *testing.T, client *api.Client) *vault.Options {
			return &vault.Options{Session: login(t, client, nil, nil)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
				client := b.limited(may(path))
				h := sourcetest.Harness{Dynamic: true, Source: vault.Dynamic(client, path, open(t, client))}
				b.breaks(&h, path, func() string { return canary })
				return h
			})
		})
	}
}

func TestStaticKeepsTheRules(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	n := 0
	sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
		n++
		name := fmt.Sprintf("app%d", n)
		path := b.StaticRole(name, vaulttest.Static{Period: 24 * 3600e9})
		h := sourcetest.Harness{Source: vault.Static(b.limited(vaulttest.Rule(path, "read")), path, nil)}
		now := func() source.Credential {
			res := vaulttest.Do(t, b.Server, http.MethodGet, path, nil)
			return source.Credential{Username: res.Data["username"].(string), Password: source.NewSecret(res.Data["password"].(string))}
		}
		h.Rotate = func(*testing.T) source.Credential {
			b.Rotate(name)
			return now()
		}
		b.breaks(&h, path, func() string { return now().Password.Reveal() })
		return h
	})
}

func TestKVKeepsTheRules(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for version := 1; version <= 2; version++ {
		t.Run(fmt.Sprint("Version", version), func(t *testing.T) {
			mount := vaulttest.KV(t, b.Server, version)
			n := 0
			sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
				n++
				path := fmt.Sprintf("%s/team/db%d", mount, n)
				if version == 2 {
					path = fmt.Sprintf("%s/data/team/db%d", mount, n)
				}
				changes := 0
				rotate := func(t *testing.T) source.Credential {
					changes++
					password := fmt.Sprintf("pässword '%d' @/:#%%", changes)
					data := map[string]any{"user": "app", "pw": password, "port": 5432}
					if version == 2 {
						data = map[string]any{"data": data}
					}
					vaulttest.Do(t, b.Server, http.MethodPut, path, data)
					return source.Credential{Username: "app", Password: source.NewSecret(password)}
				}
				rotate(t)
				h := sourcetest.Harness{
					Source: vault.KV(b.limited(vaulttest.Rule(path, "read")), mount, fmt.Sprintf("/team/db%d", n),
						&vault.Options{KVVersion: version, UsernameField: "user", PasswordField: "pw"}),
					Rotate: rotate,
				}
				b.breaks(&h, path, func() string { return fmt.Sprintf("pässword '%d' @/:#%%", changes) })
				return h
			})
		})
	}
}
