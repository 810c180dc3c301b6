package mysqlserver

import (
	"context"
	"errors"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rekey-go/rekey/internal/filelock"
)

// locked runs f while no other test binary does.
func locked(ctx context.Context, path string, f func() error) error {
	unlock, err := filelock.Lock(ctx, path)
	if err != nil {
		return err
	}
	defer unlock()
	return f()
}

// installPackage installs Debian's or Ubuntu's mariadb-server, if we may,
// without the server that it would start by itself.
func installPackage(ctx context.Context, log *log.Logger) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("installing one needs root")
	}
	return locked(ctx, filepath.Join(os.TempDir(), "rekey-my-install.lock"), func() error {
		if _, ok := installed(MariaDB); ok {
			return nil
		}
		// The core package alone lacks the plugins, ed25519 among them.
		log.Println("installing the package mariadb-server (apt-get)")
		install := func() error { return apt(ctx, "install", "-y", "--no-install-recommends", "mariadb-server") }
		if install() == nil {
			return nil
		}
		log.Println("the package lists are missing or old: apt-get update")
		if err := apt(ctx, "update"); err != nil {
			return err
		}
		return install()
	})
}

func apt(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-q", "-o", "DPkg::Lock::Timeout=120"}, args...)...)
	// In runlevel 1 packages do not start services of their own.
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
	return output(cmd)
}

// unpacked takes MySQL and the libraries it needs from Debian unstable, unpacks
// them into a cache folder once, and runs them there, whatever the system is.
func unpacked(ctx context.Context, log *log.Logger) (program, error) {
	for _, tool := range []string{"apt-get", "dpkg"} {
		if _, err := exec.LookPath(tool); err != nil {
			return program{}, err
		}
	}
	cache := "/var/cache/rekey" // where the account that root starts it as may enter
	if os.Geteuid() != 0 {
		dir, err := os.UserCacheDir()
		if err != nil {
			return program{}, err
		}
		cache = filepath.Join(dir, "rekey")
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return program{}, err
	}
	root := filepath.Join(cache, "mysql")
	err := locked(ctx, filepath.Join(cache, "mysql.lock"), func() error {
		if _, err := os.Stat(root); err == nil {
			return nil
		}
		log.Println("unpacking mysql-server-core of Debian unstable into", root)
		work, err := os.MkdirTemp(cache, "mysql-*")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(work) }()
		if err := download(ctx, work); err != nil {
			return err
		}
		unpacked := filepath.Join(work, "root")
		packages, err := filepath.Glob(filepath.Join(work, "cache/archives/*.deb"))
		if err != nil {
			return err
		}
		for _, p := range packages {
			if err := output(exec.CommandContext(ctx, "dpkg", "-x", p, unpacked)); err != nil {
				return err
			}
		}
		return errors.Join(os.Chmod(unpacked, 0o755), os.Rename(unpacked, root))
	})
	if err != nil {
		return program{}, err
	}
	return inRoot(root)
}

// download has apt-get fetch what mysql-server-core needs on a system without
// any package, with lists and a cache of our own.
func download(ctx context.Context, work string) error {
	for _, dir := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(work, dir), 0o755); err != nil {
			return err
		}
	}
	const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
	sources := "deb [signed-by=" + keyring + "] http://deb.debian.org/debian unstable main\n"
	for name, text := range map[string]string{"status": "", "sources.list": sources} {
		if err := os.WriteFile(filepath.Join(work, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	private := []string{
		"-o", "Dir::State::lists=" + filepath.Join(work, "lists"), "-o", "Dir::State::status=" + filepath.Join(work, "status"),
		"-o", "Dir::Cache=" + filepath.Join(work, "cache"), "-o", "Dir::Etc::sourcelist=" + filepath.Join(work, "sources.list"),
		"-o", "Dir::Etc::sourceparts=/dev/null", "-o", "Dir::Etc::preferencesparts=/dev/null",
		"-o", "APT::Sandbox::User=", "-o", "Debug::NoLocking=1", "-o", "Acquire::Retries=3",
	}
	if err := apt(ctx, append(private, "update")...); err != nil {
		return err
	}
	return apt(ctx, append(private, "install", "--download-only", "-y", "--no-install-recommends", "mysql-server-core")...)
}

// inRoot runs mysqld below a directory with the loader and the libraries that
// lie there.
func inRoot(root string) (program, error) {
	loaders, err := filepath.Glob(filepath.Join(root, "usr/lib/*/ld-linux-*.so.*"))
	if err != nil || len(loaders) == 0 {
		return program{}, errors.Join(err, errors.New("no loader in "+root+"; remove it to have it unpacked again"))
	}
	libraries := []string{filepath.Dir(loaders[0]), filepath.Join(root, "usr/lib/mysql/private")}
	path := filepath.Join(root, "usr/sbin/mysqld")
	return program{
		product: MySQL, path: path,
		server: []string{loaders[0], "--library-path", strings.Join(libraries, ":"), path},
		flags: []string{
			"--basedir=" + filepath.Join(root, "usr"), "--plugin-dir=" + filepath.Join(root, "usr/lib/mysql/plugin"),
			"--lc-messages-dir=" + filepath.Join(root, "usr/share/mysql"), "--character-sets-dir=" + filepath.Join(root, "usr/share/mysql/charsets"),
		},
	}, nil
}
