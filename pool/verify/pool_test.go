package verify_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/verify"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/sourcetest"
)

// A new user without a right on one column is not adopted: the old one stays,
// and health says which right it was. With the right it is.
func TestPoolKeepsTheOldUserUntilTheNewOneHasItsRights(t *testing.T) {
	b := newBench(t)
	store := sourcetest.NewScript()
	publish := func(user, version string) {
		store.Set(source.Credential{Username: user, Password: source.NewSecret("secret"), Version: version})
		store.Changed()
	}
	one, two := b.role("one", ""), b.role("two", "")
	b.do(`grant select, insert, update on orders to %[1]s; grant usage on sequence orders_id_seq to %[1]s, %[2]s;
		grant select, insert, update (item) on orders to %[2]s`, one, two)
	publish(one, "v1")

	p, err := pool.Open(t.Context(), b.DSN, store, &pool.Options{
		Logger: slog.New(slog.DiscardHandler),
		Refresh: &refresh.Options{
			Logger: slog.New(slog.DiscardHandler), MinBackoff: time.Millisecond, MaxBackoff: 50 * time.Millisecond,
		},
		Verify: verify.All(
			verify.Privileges(verify.On("orders", "select"), verify.OnColumns("orders", []string{"item", "qty"}, "update")),
			verify.Statements("insert into orders (item, qty) values ($1, $2)"),
		),
	})
	require.NoError(t, err)
	defer p.Close()
	user := func() (user string) {
		require.NoError(t, p.QueryRow(t.Context(), "select session_user").Scan(&user))
		return user
	}
	require.Equal(t, one, user())

	publish(two, "v2")
	require.ErrorIs(t, p.Refresher().Refresh(t.Context()), refresh.ErrRejected)
	health := p.Health()
	require.Equal(t, refresh.Degraded, health.State)
	require.Equal(t, one, health.Username)
	require.Contains(t, health.LastError, "lacks update (qty) on table public.orders")
	require.Contains(t, health.LastError, "GRANT update (qty) ON table public.orders TO "+two)
	require.NotContains(t, health.LastError, "secret")
	require.Equal(t, one, user())

	b.do("grant update (qty) on orders to %s", two)
	require.Eventually(t, func() bool {
		_ = p.Refresher().Refresh(context.WithoutCancel(t.Context()))
		return p.Health().Username == two
	}, 20*time.Second, 20*time.Millisecond)
	require.Equal(t, refresh.Fresh, p.Health().State)
}
