package vaultserver

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// program is an executable that is a Vault server.
type program struct {
	path string
	own  bool // the nested module's, not HashiCorp's
}

// choose finds a program here, or builds one.
func choose(ctx context.Context, binary string, log *log.Logger) (program, error) {
	if named := cmp.Or(binary, os.Getenv(EnvBinary)); named != "" {
		path, err := exec.LookPath(named)
		if err != nil {
			return program{}, fmt.Errorf("no vault program at %s; correct %s: %w", named, EnvBinary, err)
		}
		return program{path: path}, nil
	}
	if path, err := exec.LookPath("vault"); err == nil {
		return program{path: path}, nil
	}
	path, err := build(ctx, log)
	if err != nil {
		return program{}, fmt.Errorf("no vault in PATH, and none could be built: %w\n"+
			"run: go run ./internal/vaultserver/prepare; or name a server in %s and %s", err, EnvAddr, EnvToken)
	}
	return program{path: path, own: true}, nil
}

// Prepare does beforehand what may take minutes: it builds the server, unless
// another one will be used. Start does the same when it has to.
func Prepare(ctx context.Context, out io.Writer) error {
	if os.Getenv(EnvAddr) != "" {
		return nil
	}
	_, err := choose(ctx, "", log.New(out, "", 0))
	return err
}

// command runs the program with its files in dir. The environment is ours
// alone: VAULT_* or PG* of the caller must not reach it.
func (p program) command(dir, addr string) (*exec.Cmd, error) {
	listen, storage := strings.TrimPrefix(addr, "http://"), filepath.Join(dir, "storage")
	cmd := exec.Command(p.path, "-listen", listen, "-storage", storage)
	if !p.own {
		file := filepath.Join(dir, "vault.json")
		text, err := json.Marshal(map[string]any{
			"storage":       map[string]any{"file": map[string]any{"path": storage}},
			"listener":      map[string]any{"tcp": map[string]any{"address": listen, "tls_disable": true}},
			"api_addr":      addr,
			"disable_mlock": true,
		})
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return nil, err
		}
		cmd = exec.Command(p.path, "server", "-config", file)
	}
	cmd.Dir, cmd.Env = dir, []string{"PATH=/usr/bin:/bin", "HOME=" + dir, "LC_ALL=C", "TZ=UTC"}
	return cmd, nil
}
