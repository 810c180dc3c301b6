package rotatetest_test

import (
	"testing"

	"github.com/rekey-go/rekey/rotate/rotatetest"
)

func ExampleStore() {
	open := func(t *testing.T) rotatetest.StoreHarness {
		return rotatetest.StoreHarness{ /* Store: …, Other: …, Overwrite: …, Fail: … */ }
	}
	_ = func(t *testing.T) { rotatetest.Store(t, open) } // TestConformance of your store
	// Output:
}

func ExampleTarget() {
	open := func(t *testing.T) rotatetest.TargetHarness {
		return rotatetest.TargetHarness{ /* Target: …, Other: …, Current: …, Weaken: … */ }
	}
	_ = func(t *testing.T) { rotatetest.Target(t, open) } // TestConformance of your target
	// Output:
}
