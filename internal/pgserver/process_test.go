package pgserver_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
)

func TestRunsAsAnotherAccountThanRoot(t *testing.T) {
	s := pgtest.New(t, nil)
	for _, pid := range processes(t, filepath.Dir(s.CAFile())) {
		status, err := os.ReadFile(filepath.Join("/proc", pid, "status"))
		require.NoError(t, err)
		require.NotContains(t, string(status), "Uid:\t0\t")
	}
}

// processes are the ids of those that were started for a directory: where
// there is no /proc, none; for a local server, at least one.
func processes(t *testing.T, dir string) (pids []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	for _, path := range all {
		line, _ := os.ReadFile(path) // it may have ended meanwhile
		if strings.Contains(string(line), dir) {
			pids = append(pids, filepath.Base(filepath.Dir(path)))
		}
	}
	_, err = os.Stat(filepath.Join(dir, "data"))
	if len(all) > 0 && err == nil {
		require.NotEmpty(t, pids)
	}
	return pids
}
