package moto

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/rekey-go/rekey/internal/filelock"
)

// requirement is what pip installs.
const requirement = "moto[server]==5.2.*"

// choose finds moto's server or makes a Python environment for it.
func choose(ctx context.Context, log *log.Logger) (string, error) {
	if path, err := exec.LookPath("moto_server"); err == nil {
		return path, nil
	}
	path, err := environment(ctx, log)
	if err != nil {
		return "", fmt.Errorf("there is no moto_server in PATH; run: pip install '%s', or name a server in %s, as host:port\n(a Python environment of its own: %w)",
			requirement, EnvAddr, err)
	}
	return path, nil
}

// environment returns the program in the cache folder. The first to ask makes
// it, others wait.
func environment(ctx context.Context, log *log.Logger) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "rekey")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	unlock, err := filelock.Lock(ctx, filepath.Join(cache, "moto.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	dir := filepath.Join(cache, "moto-5.2")
	program, whole := filepath.Join(dir, "bin", "moto_server"), filepath.Join(dir, "whole")
	if _, err := os.Stat(whole); err == nil {
		if _, err := os.Stat(filepath.Join(dir, "bin", "python3")); err == nil { // the Python it was made with is still there
			return program, nil
		}
	}
	log.Println("making a Python environment with", requirement, "in", dir, "(once)")
	if err := venv(ctx, dir, log); err != nil {
		return "", err
	}
	if err := run(ctx, filepath.Join(dir, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", requirement); err != nil {
		return "", err
	}
	return program, os.WriteFile(whole, nil, 0o600)
}

// venv makes an empty environment. Debian's Python alone cannot: then its
// package is installed, if we may.
func venv(ctx context.Context, dir string, log *log.Logger) error {
	build := func() error {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		return run(ctx, "python3", "-m", "venv", dir)
	}
	why := build()
	if why == nil {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("%w; on Debian or Ubuntu: sudo apt-get install -y python3-venv", why)
	}
	install := []string{"install", "-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120", "python3-venv"}
	log.Println("installing the package python3-venv (apt-get)")
	if run(ctx, "apt-get", install...) != nil {
		log.Println("the package lists are missing or old: apt-get update")
		if err := run(ctx, "apt-get", "update", "-q"); err != nil {
			return err
		}
		if err := run(ctx, "apt-get", install...); err != nil {
			return err
		}
	}
	return build()
}

// run runs a command and puts the end of what it says into its error.
func run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	text, err := cmd.CombinedOutput()
	if err != nil {
		const most = 2 << 10
		return fmt.Errorf("%s %s: %w\n%s", name, args[0], err, text[max(0, len(text)-most):])
	}
	return nil
}
