package pool_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool"
)

// pgxpool's own types tell a row that was never sent from one that waits to be
// read; should they change, this fails.
func TestQueryRowKnowsARowThatWasNeverSent(t *testing.T) {
	b := newBench(t)
	p := b.open(1, nil)
	own := reflect.TypeFor[pool.ManagedPool]().PkgPath()

	var n int
	sent := p.QueryRow(t.Context(), "select 1")
	require.NoError(t, sent.Scan(&n))
	require.NotEqual(t, own, reflect.TypeOf(sent).Elem().PkgPath(), "it is handed on as it is")

	p.Close()
	unsent := p.QueryRow(t.Context(), "select 1")
	require.Equal(t, own, reflect.TypeOf(unsent).PkgPath(), "its error is ours to explain")
	require.ErrorContains(t, unsent.Scan(&n), "closed pool")
}

// Sessions that stay idle are due for a probe for ever.
func TestABatchTakesOneConnectionWhileProbesAreDue(t *testing.T) {
	b := newBench(t)
	p := b.open(4, &pool.Options{Probe: 40 * time.Millisecond})
	fill(t, p, 4)
	eventually(t, func() bool { return p.Attention() }, "due")
	for range 50 {
		acquired := p.Stat().AcquireCount()
		batch := new(pgx.Batch)
		batch.Queue("select 1")
		require.NoError(t, p.SendBatch(t.Context(), batch).Close())
		if p.Stat().AcquireCount() == acquired+1 { // else the pool may have probed meanwhile
			return
		}
	}
	require.Fail(t, "each batch takes more than one")
}
