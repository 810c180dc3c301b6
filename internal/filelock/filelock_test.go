package filelock_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/filelock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOneAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	inside := 0
	var mu sync.Mutex
	enter := func(by int) {
		mu.Lock()
		defer mu.Unlock()
		if inside += by; inside > 1 {
			t.Error("two hold the lock")
		}
	}
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			unlock, err := filelock.Lock(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			enter(1)
			enter(-1)
			unlock()
		})
	}
	all.Wait()
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := filelock.Lock(t.Context(), path)
	require.NoError(t, err)
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = filelock.Lock(ctx, path)
	require.ErrorIs(t, err, context.Canceled)
	_, err = filelock.Lock(t.Context(), filepath.Join(path, "not", "a", "directory"))
	require.Error(t, err)
}
