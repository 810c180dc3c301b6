package containertest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// An image is what containers are made from.
type image struct {
	env      string // the variable that names another one
	official string
	local    string // of the same contract, built by script
	script   string
}

var (
	postgres = image{"REKEY_TEST_POSTGRES_IMAGE", "postgres:17", "postgres:15-local", "postgres-image.sh"}
	vault    = image{"REKEY_TEST_VAULT_IMAGE", "hashicorp/vault:1.21", "vault:1.21-local", "vault-image.sh"}
)

func (i image) need(t testing.TB) string {
	t.Helper()
	if err := docker(t.Context(), "info"); err != nil {
		t.Fatalf("the container tests need Docker; run as root: internal/containertest/setup.sh\n%v", err)
	}
	name, err := i.choose(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// choose names the image to run: the one that the environment names, the local
// one where it is present, the official one where it can be had, and else the
// local one, built.
func (i image) choose(ctx context.Context) (string, error) {
	if named := os.Getenv(i.env); named != "" {
		return named, nil
	}
	for _, name := range []string{i.local, i.official} {
		if docker(ctx, "image", "inspect", name) == nil {
			return name, nil
		}
	}
	noPull := docker(ctx, "pull", "-q", i.official)
	if noPull == nil {
		return i.official, nil
	}
	_, file, _, _ := runtime.Caller(0)
	script := filepath.Join(filepath.Dir(file), i.script)
	if out, err := exec.CommandContext(ctx, script).CombinedOutput(); err != nil {
		return "", fmt.Errorf("no image %s: %w; building %s: %w\n%s", i.official, noPull, i.local, err, out)
	}
	return i.local, nil
}

// docker runs the client for its exit status.
func docker(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "docker", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("docker %s: %w: %s", args[0], err, out)
	}
	return nil
}
