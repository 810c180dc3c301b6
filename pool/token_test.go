package pool_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

// token has the store hold the next token of the user: it ends, but sessions
// do not end with it.
func (b *bench) token() {
	b.n++
	b.store.Set(source.Credential{
		Username: b.user, Password: source.NewSecret("pässword '0' @/:#%"), Version: fmt.Sprintf("token %d", b.n),
		Expires: time.Now().Add(time.Hour),
	})
}

// next waits until a pool's keeper has followed the next token.
func (b *bench) next(r *refresh.Refresher) {
	b.t.Helper()
	b.token()
	require.NoError(b.t, r.Refresh(b.t.Context()))
}

func TestTokensOfOneUserLeaveSessionsAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.token()
	p := b.open(4, nil)
	fill(t, p, 4)
	held, err := p.Acquire(t.Context())
	require.NoError(t, err)
	before := p.Health()
	for range 3 {
		b.next(p.Refresher())
	}
	held.Release()
	eventually(t, func() bool { return !p.Attention() }, "nothing is left to do")
	h := p.Health()
	require.EqualValues(t, 4, h.Generation)
	require.Equal(t, map[uint64]int{1: 4}, h.Connections, "they are as good as new ones")
	require.Equal(t, before.Logins, h.Logins, "and none has been replaced")
	require.Zero(t, h.Retired)

	p.Reset()
	fill(t, p, 4)
	require.Equal(t, map[uint64]int{4: 4}, p.Health().Connections, "new logins take the token of now")
	require.Zero(t, p.Health().LoginsRejected)

	// Another user is another matter.
	b.newUser()
	eventually(t, func() bool { return p.Health().Connections[5] == 4 && sockets(p) == 4 }, "exchanged")
}

func TestTokensOfOneUserLeaveSessionsOfDatabaseSQLAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.token()
	db := b.openDB(pool.Postgres(b.connConfig()))
	require.NoError(t, db.PingContext(t.Context()))
	for range 3 {
		b.next(db.Refresher())
		require.NoError(t, db.PingContext(t.Context()))
	}
	h := db.Health()
	require.EqualValues(t, 4, h.Generation)
	require.Zero(t, h.Retired)
	require.Equal(t, map[uint64]int{1: 1}, h.Connections)
}

func TestTokensAreReplacedWithTheirSessionsIfAsked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.token()
	p := b.open(2, &pool.Options{Refresh: &refresh.Options{Drain: 10 * time.Second, Logger: logger(t)}})
	fill(t, p, 2)
	b.next(p.Refresher())
	eventually(t, func() bool { return p.Health().Connections[2] == 2 && sockets(p) == 2 }, "exchanged")
}
