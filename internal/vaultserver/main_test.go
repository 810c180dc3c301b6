package vaultserver_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(vaulttest.Suite{Runner: m}) }
