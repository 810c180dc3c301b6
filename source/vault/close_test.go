package vault_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
	"github.com/rekey-go/rekey/source/vault"
)

func TestCloseInTheMiddleOfEverything(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{TTL: time.Hour})
	for round := range 4 {
		m := hold(appRole{vaulttest.NewAppRole(t, b.Server, vaulttest.Token{Policy: may(path), TTL: 2 * time.Second, Batch: round > 0})})
		s := login(t, b.client(""), m, nil)
		src := vault.Dynamic(nil, path, &vault.Options{Session: s})
		var wg sync.WaitGroup
		for range 8 {
			stop := src.Watch(func() { _ = s.Health() })
			wg.Go(func() {
				defer stop()
				for {
					c, err := src.Credential(t.Context())
					if err != nil {
						return // closed, or cut off by that
					}
					_ = c.Lease.Revoke(t.Context())
				}
			})
		}
		if round < 2 {
			vaulttest.Do(t, b.Server, "PUT", "sys/leases/revoke-prefix/auth/"+m.AuthMethod.(appRole).Mount+"/login", map[string]any{"sync": true})
			<-m.began // while logging in
		} else {
			close(m.letGo)
			eventually(t, func() bool { return s.Health().Logins > 1 }, "while it is told")
		}
		begun := time.Now()
		s.Close()
		wg.Wait()
		require.Less(t, time.Since(begun), 3*time.Second)
	}
}

func TestF27EveryWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	m := hold(appRole{vaulttest.NewAppRole(t, b.Server, vaulttest.Token{TTL: 3 * time.Second, Batch: true})})
	s := login(t, b.client(""), m, nil)
	<-m.began
	eventually(t, func() bool { return !s.Health().Valid }, "ended, and the login does not get on")
	slow := login(t, b.client(b.Server.RootToken()), nil, nil)
	b.proxy.Break(vaulttest.Fault{Path: "kv/data/denied", Status: http.StatusForbidden})
	b.proxy.Break(vaulttest.Fault{Delay: time.Minute})
	eventually(t, func() bool { return vault.Settled(slow) }, "what was just accepted is not asked about again at once")
	for name, call := range map[string]func(context.Context) error{
		"for a login": func(ctx context.Context) error {
			_, err := vault.KV(nil, "kv", "x", &vault.Options{Session: s}).Credential(ctx)
			return err
		},
		"for a doubt": func(ctx context.Context) error {
			_, err := vault.KV(nil, "kv", "denied", &vault.Options{Session: slow}).Credential(ctx)
			return err
		},
		"between logins": func(ctx context.Context) error {
			_, err := vault.Login(ctx, nowhere(t), m.AuthMethod, &vault.LoginOptions{Logger: logger(t)})
			return err
		},
		"for an answer": func(ctx context.Context) error {
			_, err := vault.Static(b.client("hvs.x"), "database/static-creds/x", nil).Credential(ctx)
			return err
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		var ended time.Time
		time.AfterFunc(300*time.Millisecond, func() { ended = time.Now(); cancel() })
		err := call(ctx)
		require.ErrorIs(t, err, context.Canceled, name)
		require.Less(t, time.Since(ended), 50*time.Millisecond, name)
	}
	b.proxy.Clear()
}
