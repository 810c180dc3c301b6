package pool_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/storm/load"
)

func TestStormOfRotationsFailsNoStatement(t *testing.T) {
	b := newBench(t)
	p := b.open(16, nil)
	l := load.Start(t.Context(), 32, func(ctx context.Context) error {
		var n int
		return p.QueryRow(ctx, "select qty from orders where id = -1 union all select 1").Scan(&n)
	})
	for i := range 6 {
		version := p.Refresher().Current().Version
		if i%2 == 0 {
			b.newPassword()
			require.NoError(t, p.Drained(within(t, patience), version))
			continue
		}
		old := b.newUser()
		require.NoError(t, p.Drained(within(t, patience), version))
		b.DropUser(old)
	}
	r := l.Stop()
	t.Logf("%+v %+v", r, p.Health())
	require.NoError(t, r.Err)
	require.Zero(t, r.Failed)
	calm(t, p)
}
