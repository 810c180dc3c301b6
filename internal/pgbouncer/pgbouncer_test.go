package pgbouncer_test

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgbouncer"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
)

func TestStartServesAndCloseLeavesNothing(t *testing.T) {
	db := pgtest.Database(t)
	user := db.Role("app")
	db.CreateUser(user, `it's "quoted" \`)
	began := time.Now()
	b, err := pgbouncer.Start(t.Context(), db.Server, &pgbouncer.Options{Log: t.Output()})
	require.NoError(t, err)
	t.Log("ready after", time.Since(began).Round(time.Millisecond))
	c, err := login(t, b.DatabaseDSN(db.Name), user, `it's "quoted" \`)
	require.NoError(t, err)
	require.NoError(t, exec(t, c))
	require.Contains(t, b.Log(), user)

	require.NoError(t, b.Close())
	require.Error(t, exec(t, c))
	_, err = net.DialTimeout("tcp", b.Addr(), time.Second)
	require.Error(t, err)
	require.NoError(t, b.Close(), "once more")
	require.NotContains(t, b.Log(), user, "its files are gone")
}

func TestBadSettingShowsTheLog(t *testing.T) {
	_, err := pgbouncer.Start(t.Context(), pgtest.Server(t), &pgbouncer.Options{Settings: map[string]string{"pool_mode": "nonsense"}})
	require.ErrorContains(t, err, "pool_mode")
}
