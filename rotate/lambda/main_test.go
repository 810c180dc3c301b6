package lambda_test

import (
	"context"
	"debug/elf"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/rotate/lambda/internal/function"
)

// bootstrap is the program as it is deployed.
var bootstrap string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "rekey-lambda-*")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a folder in the system's own for such
	bootstrap = filepath.Join(dir, "bootstrap")
	if err := function.Build(context.Background(), "cmd/rotate", bootstrap); err != nil {
		log.Print(fmt.Errorf("cmd/rotate: %w", err))
		return 1
	}
	return pgtest.Main(m)
}

// The program needs nothing that the runtime may not have.
func TestProgramIsStatic(t *testing.T) {
	t.Parallel()
	file, err := elf.Open(bootstrap)
	require.NoError(t, err)
	defer file.Close()
	libraries, err := file.ImportedLibraries()
	require.NoError(t, err)
	require.Empty(t, libraries)
}
