package dialertest_test

import (
	"fmt"
	"testing"

	"github.com/rekey-go/rekey/pool/dialertest"
)

// A test of a dialer makes one harness for each check, with a database of its
// own; see the tests of pool/mysql for a whole one.
func ExampleRun() {
	open := func(t *testing.T) dialertest.Harness {
		return dialertest.Harness{ /* Dialer: …, CreateUser: …, SQL: … */ }
	}
	_ = func(t *testing.T) { dialertest.Run(t, open) }
	fmt.Println(len(dialertest.Odd()) > 20)
	// Output: true
}
