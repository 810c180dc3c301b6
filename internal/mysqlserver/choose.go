package mysqlserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// choose finds a way to run a server of the product here.
func choose(ctx context.Context, opts Options, log *log.Logger) (program, error) {
	if bin := cmp.Or(opts.Binaries, os.Getenv(opts.env("BIN"))); bin != "" {
		if p, ok := inDir(opts.Product, bin); ok {
			return p, nil
		}
		return program{}, fmt.Errorf("mysqlserver: no %s in %s; correct %s", opts.Product, bin, opts.env("BIN"))
	}
	if p, ok := installed(opts.Product); ok {
		return p, nil
	}
	var why error
	if opts.Product == MySQL {
		p, err := unpacked(ctx, log)
		if err == nil {
			return p, nil
		}
		why = err
	} else if why = installPackage(ctx, log); why == nil {
		if p, ok := installed(opts.Product); ok {
			return p, nil
		}
		why = errors.New("the package was installed, but brought no mariadbd")
	}
	return program{}, fmt.Errorf("mysqlserver: no %s to start; %s\n(looked in PATH and /usr/sbin; package: %w)", opts.Product, help(opts), why)
}

// help is what to do on this system.
func help(opts Options) string {
	server := "or name a server in " + opts.env("DSN") + ", as user:password@tcp(host:3306)/"
	_, err := exec.LookPath("apt-get")
	switch {
	case runtime.GOOS == "darwin" && opts.Product == MariaDB:
		return "run: brew install mariadb, " + server
	case runtime.GOOS == "darwin":
		return "run: brew install mysql, " + server
	case err == nil && opts.Product == MariaDB:
		return "run: sudo apt-get install -y mariadb-server, " + server
	}
	return "run: docker run -d -p 3306:3306 -e MYSQL_ROOT_PASSWORD=… mysql:8.4, " + server
}

// installed finds a server in PATH and where packages put it.
func installed(product Product) (program, bool) {
	dirs := append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/usr/libexec", "/usr/local/bin", "/opt/homebrew/bin")
	for _, dir := range dirs {
		if p, ok := inDir(product, dir); ok {
			return p, true
		}
	}
	return program{}, false
}

// inDir finds a server in a directory. MariaDB installs itself as mysqld, too.
func inDir(product Product, dir string) (program, bool) {
	if product == MariaDB {
		path := filepath.Join(dir, "mariadbd")
		if _, err := exec.LookPath(path); err != nil {
			return program{}, false
		}
		for _, install := range []string{filepath.Join(dir, "mariadb-install-db"), filepath.Join(dir, "../bin/mariadb-install-db"), "mariadb-install-db"} {
			if found, err := exec.LookPath(install); err == nil {
				return program{product: product, path: path, server: []string{path}, install: []string{found}}, true
			}
		}
		return program{}, false
	}
	path := filepath.Join(dir, "mysqld")
	version, err := exec.Command(path, "--no-defaults", "--version").Output()
	if err != nil || strings.Contains(string(version), "MariaDB") {
		return program{}, false
	}
	return program{product: product, path: path, server: []string{path}}, true
}

// tempDir makes the server's directory where any account may enter and where
// the path of a Unix socket stays below the 100 bytes that all systems allow.
func tempDir() (string, error) {
	base := os.TempDir()
	if runtime.GOOS != "windows" && (os.Geteuid() == 0 || len(base) > 60) {
		base = "/tmp"
	}
	return os.MkdirTemp(base, "rekey-my-*")
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

// output runs a command and puts the end of what it says into its error.
func output(cmd *exec.Cmd) error {
	text, err := cmd.CombinedOutput()
	if err != nil {
		const most = 2 << 10
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args[:min(2, len(cmd.Args))], " "), err, text[max(0, len(text)-most):])
	}
	return nil
}
