package pgserver

import (
	"context"
	"errors"
	"log"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/rekey-go/rekey/internal/filelock"
)

// installPackage installs Debian's or Ubuntu's postgresql, if we may, without
// the cluster that it would create and start by itself.
func installPackage(ctx context.Context, log *log.Logger) (err error) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("installing one needs root")
	}
	// Test binaries run side by side: one installs, the others wait for it.
	unlock, err := filelock.Lock(ctx, filepath.Join(os.TempDir(), "rekey-pg-install.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if findBinaries() != "" {
		return nil
	}

	const policy = "/etc/postgresql-common/createcluster.d/rekey.conf"
	if err := os.MkdirAll(filepath.Dir(policy), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(policy, []byte("create_main_cluster = false\n"), 0o644); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(policy)) }()

	log.Println("installing the package postgresql (apt-get), without a cluster of its own")
	if err := apt(ctx, "install"); err == nil {
		return nil
	}
	log.Println("the package lists are missing or old: apt-get update")
	if _, err := output(exec.CommandContext(ctx, "apt-get", "update", "-q")); err != nil {
		return err
	}
	return apt(ctx, "install")
}

func apt(ctx context.Context, command string) error {
	cmd := exec.CommandContext(ctx, "apt-get", command, "-q", "-y", "--no-install-recommends",
		"-o", "DPkg::Lock::Timeout=120", "postgresql")
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	_, err := output(cmd)
	return err
}
