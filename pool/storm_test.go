package pool_test

import (
	"context"
	"testing"
	"time"

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
	for i := range 40 {
		version := p.Refresher().Current().Version
		if i%2 == 0 {
			b.newPassword()
		} else {
			old := b.newUser()
			require.NoError(t, p.Drained(within(t, 10*time.Second), version))
			b.DropUser(old)
		}
		require.NoError(t, p.Drained(within(t, 10*time.Second), version))
	}
	r := l.Stop()
	t.Logf("%+v %+v", r, p.Health())
	require.NoError(t, r.Err)
	require.Zero(t, r.Failed)
}
