package vaulttest_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(vaulttest.Suite{Runner: m}) }

// patience bounds the waits of these tests.
const patience = time.Minute
