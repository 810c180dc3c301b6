package pgbouncer

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/rekey-go/rekey/internal/filelock"
)

const place = "/usr/sbin/pgbouncer" // not in every PATH

// find returns the program, which it installs if it may.
func find(ctx context.Context, log *log.Logger) (string, error) {
	for _, name := range []string{"pgbouncer", place} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	if os.Geteuid() != 0 {
		return "", errors.New("there is no pgbouncer here and installing it needs root")
	}
	// Test binaries run side by side: one installs, the others wait for it.
	unlock, err := filelock.Lock(ctx, filepath.Join(os.TempDir(), "rekey-pgbouncer-install.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if path, err := exec.LookPath(place); err == nil {
		return path, nil
	}
	log.Println("installing the package pgbouncer (apt-get)")
	install := []string{"install", "-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120", "pgbouncer"}
	if err := apt(ctx, install...); err != nil {
		log.Println("the package lists are missing or old: apt-get update")
		if err := apt(ctx, "update", "-q"); err != nil {
			return "", err
		}
		if err := apt(ctx, install...); err != nil {
			return "", err
		}
	}
	return exec.LookPath(place)
}

func apt(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	// In runlevel 1 the package does not start a service of its own.
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, text)
	}
	return nil
}
