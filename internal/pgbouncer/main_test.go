package pgbouncer_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Suite{Runner: m}) }
