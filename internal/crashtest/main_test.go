package crashtest_test

import (
	"log"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
)

func TestMain(m *testing.M) {
	if asProcess() {
		os.Exit(0)
	}
	goleak.VerifyTestMain(vaulttest.Suite{Runner: suite{m}})
}

// A suite closes the server of the cases.
type suite struct{ *testing.M }

func (s suite) Run() int {
	code := s.M.Run()
	if err := closePostgres(); err != nil {
		log.Println("crashtest:", err)
		return max(code, 1)
	}
	return code
}
