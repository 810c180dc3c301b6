package pgserver_test

import (
	"os"
	"testing"

	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
