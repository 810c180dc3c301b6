package crashtest_test

import (
	"errors"
	"log"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/mysqlserver/mysqltest"
	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
)

func TestMain(m *testing.M) {
	if asProcess() {
		os.Exit(0)
	}
	goleak.VerifyTestMain(vaulttest.Suite{Runner: mysqltest.Suite{Runner: suite{m}}})
}

// A suite closes the servers of the cases and what leads to them.
type suite struct{ *testing.M }

func (s suite) Run() int {
	code := s.M.Run()
	if err := errors.Join(closePostgres(), closeMySQL(), closeKubernetes()); err != nil {
		log.Println("crashtest:", err)
		return max(code, 1)
	}
	return code
}
