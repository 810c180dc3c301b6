package vaultserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/rekey-go/rekey/internal/filelock"
)

// build returns the program of the nested module for this very source, made
// once for this user and then found again.
func build(ctx context.Context, log *log.Logger) (string, error) {
	module, err := moduleDir()
	if err != nil {
		return "", err
	}
	key, err := digest(module)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "rekey")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(cache, "vault-"+key)
	if used(path) {
		return path, nil
	}
	// Test binaries run side by side: one builds, the others wait for it.
	unlock, err := filelock.Lock(ctx, filepath.Join(cache, "vault.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if used(path) {
		return path, nil
	}
	log.Printf("building Vault for tests into %s: once, some minutes", path)
	begin := time.Now()
	if err := compile(ctx, module, path); err != nil {
		return "", err
	}
	log.Printf("Vault is built, in %s", time.Since(begin).Round(time.Second))
	tidy(cache)
	return path, nil
}

// moduleDir is the nested module beside this file.
func moduleDir() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	dir := filepath.Join(filepath.Dir(file), "core")
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); !ok || err != nil {
		return "", errors.New("the source of internal/vaultserver/core is not here: this program was built elsewhere or with -trimpath")
	}
	return dir, nil
}

// digest names what the program is made from and for.
func digest(module string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	files, err := filepath.Glob(filepath.Join(module, "*.go"))
	if err != nil {
		return "", err
	}
	for _, name := range append(files, filepath.Join(module, "go.mod"), filepath.Join(module, "go.sum")) {
		text, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, filepath.Base(name), len(text))
		h.Write(text)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// compile makes the program beside path and moves it there when it is whole.
func compile(ctx context.Context, module, path string) error {
	part := path + ".part"
	defer os.Remove(part) //nolint:errcheck // it is gone if all went well
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", part, ".")
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	p, err := ours.Start(cmd, syscall.SIGKILL)
	if err != nil {
		return fmt.Errorf("go build in %s: %w", module, err)
	}
	select {
	case <-p.Done():
		err = p.Err()
	case <-ctx.Done():
		p.Kill()
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("go build in %s: %w\n%s", module, err, out.text)
	}
	return os.Rename(part, path)
}

// tail keeps the end of what is written to it.
type tail struct{ text []byte }

var _ io.Writer = (*tail)(nil)

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-4096):]
	return len(p), nil
}

// used says that a program is there, and marks it as in use.
func used(path string) bool {
	now := time.Now()
	return os.Chtimes(path, now, now) == nil
}

// tidy removes programs that nobody has used for a week.
func tidy(cache string) {
	old, _ := filepath.Glob(filepath.Join(cache, "vault-*")) // the pattern is well-formed
	for _, path := range old {
		if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > 7*24*time.Hour {
			_ = os.Remove(path) // next time then
		}
	}
}
