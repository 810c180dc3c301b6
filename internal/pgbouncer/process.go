package pgbouncer

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/rekey-go/rekey/internal/child"
)

const iniName = "pgbouncer.ini"

// account is the one that pgserver uses, so that both read the same files.
var account = child.Account{"postgres", "nobody"}

// launch starts the program with the configuration in dir.
func launch(program, dir string) (*child.Process, error) {
	log, err := os.OpenFile(filepath.Join(dir, "output"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(program, filepath.Join(dir, iniName))
	cmd.Dir, cmd.Env = dir, []string{"PATH=/usr/bin:/bin", "HOME=" + dir, "LC_ALL=C", "TZ=UTC"}
	cmd.Stdout, cmd.Stderr = log, log
	return account.Start(cmd, syscall.SIGKILL)
}
