package vault_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/vault"
)

// A held method's second login begins, and ends when it is let go.
type held struct {
	api.AuthMethod
	began, letGo chan struct{}
	mu           sync.Mutex
	n            int
}

func hold(m api.AuthMethod) *held {
	return &held{AuthMethod: m, began: make(chan struct{}), letGo: make(chan struct{})}
}

func (h *held) Login(ctx context.Context, client *api.Client) (*api.Secret, error) {
	h.mu.Lock()
	h.n++
	n := h.n
	h.mu.Unlock()
	if n == 2 {
		close(h.began)
		select {
		case <-h.letGo:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return h.AuthMethod.Login(ctx, client)
}

func (h *held) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n
}

func TestADoubtAboutTheOldTokenSaysNothingOfTheNew(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	// It may neither renew nor look up itself: any question about it is answered with no.
	m := hold(appRole{vaulttest.NewAppRole(t, b.Server, vaulttest.Token{TTL: 12 * time.Second, NoDefault: true})})
	s := login(t, b.client(""), m, nil)
	<-m.began
	asked := make(chan error)
	go func() {
		_, err := vault.KV(nil, "secret", "forbidden", &vault.Options{Session: s}).Credential(t.Context())
		asked <- err
	}()
	eventually(t, func() bool {
		requests := b.proxy.Requests("secret/data/forbidden")
		return len(requests) > 0 && requests[0].Status == http.StatusForbidden
	}, "refused, and doubted")
	close(m.letGo)
	kind(t, <-asked, vault.Permission)
	require.Equal(t, 2, m.count(), "no third login")
	require.True(t, s.Health().Valid)
}

func TestAStormOfDoubtsIsOneQuestionASecond(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := login(t, b.client(""), appRole{vaulttest.NewAppRole(t, b.Server, vaulttest.Token{TTL: time.Hour})}, nil)
	src := vault.KV(nil, "secret", "forbidden", &vault.Options{Session: s})
	asked := len(b.proxy.Requests("auth/token/lookup-self"))
	ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for ctx.Err() == nil {
				_, err := src.Credential(ctx)
				if ctx.Err() == nil && !source.IsPermanent(err) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, len(b.proxy.Requests("auth/token/lookup-self"))-asked, 4)
	require.Equal(t, 1, s.Health().Logins)
}

func TestALookupThatFailsSettlesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	mount := vaulttest.KV(t, b.Server, 2)
	vaulttest.Do(t, b.Server, "PUT", mount+"/data/app", map[string]any{"data": map[string]any{"username": "u", "password": "p"}})
	role := vaulttest.NewAppRole(t, b.Server, vaulttest.Token{Policy: vaulttest.Rule(mount+"/data/app", "read"), TTL: time.Hour})
	s := login(t, b.client(""), appRole{role}, nil)
	src := vault.KV(nil, mount, "app", &vault.Options{Session: s})
	eventually(t, func() bool { return vault.Settled(s) }, "what was just accepted is not asked about again at once")
	b.proxy.Break(vaulttest.Fault{Path: mount, Times: 1, Status: http.StatusForbidden})
	b.proxy.Break(vaulttest.Fault{Path: "auth/token/lookup-self", Times: 1, Status: http.StatusInternalServerError})
	_, err := src.Credential(t.Context())
	kind(t, err, vault.Permission)
	require.True(t, s.Health().Valid, "a failure is no reason to give a token up")
	vaulttest.Do(t, b.Server, "PUT", "sys/leases/revoke-prefix/auth/"+role.Mount+"/login", map[string]any{"sync": true})
	get(t, src)
	require.Equal(t, 2, s.Health().Logins)
}
