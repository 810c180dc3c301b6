package sourcetest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/sourcetest"
)

// A script is a store that does as it is told.
func ExampleNewScript() {
	ctx := context.Background()
	store := sourcetest.NewScript()
	store.Set(source.Credential{Username: "app", Password: source.NewSecret("s3cret")})
	store.TTL(time.Hour)

	c, err := store.Credential(ctx)
	fmt.Println(c.Username, c.Expires.Sub(c.Issued), err)
	fmt.Println(store.Live(), c.Lease.Revoke(ctx), store.Live())
	// Output:
	// app 1h0m0s <nil>
	// 1 <nil> 0
}

// The rules of a source, held against one that keeps its credential in memory.
func ExampleRun() {
	open := func(*testing.T) sourcetest.Harness {
		store, n := sourcetest.NewScript(), 0
		rotate := func(*testing.T) source.Credential {
			n++
			next := source.Credential{Username: "app", Password: source.NewSecret(fmt.Sprint("not found by chance ", n))}
			store.Set(next)
			store.Changed()
			return next
		}
		return sourcetest.Harness{Source: store, Rotate: rotate}
	}
	_ = func(t *testing.T) { sourcetest.Run(t, open) } // TestConformance of your source
	// Output:
}
