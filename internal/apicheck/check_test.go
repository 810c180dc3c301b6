// Package apicheck holds what modules export against the last release.
package apicheck

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A repo is one of a module with a release.
type repo struct {
	t   *testing.T
	dir string
}

func newRepo(t *testing.T, version string) *repo {
	r := &repo{t, t.TempDir()}
	r.git("init", "-q")
	r.write("go.mod", "module example.com/lock\n\ngo 1.25.0\n")
	r.write("lock.go", "package lock\n\nfunc Turn(key string) error { return nil }\n")
	r.write("examples/demo/demo.go", "package demo\n\nfunc Show() {}\n")
	r.write("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n\n## [0.1.0]\n\n- **Breaking**: all is new\n")
	r.git("add", ".")
	r.git("commit", "-q", "-m", "release "+version)
	return r
}

func (r *repo) git(args ...string) {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), "git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "tag.gpgsign=false"}, args...)...)
	cmd.Dir = r.dir
	out, err := cmd.CombinedOutput()
	require.NoError(r.t, err, "%s", out)
}

func (r *repo) write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	require.NoError(r.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(r.t, os.WriteFile(path, []byte(text), 0o600))
}

func (r *repo) check(want bool, says string) {
	r.t.Helper()
	script, err := filepath.Abs("check.sh")
	require.NoError(r.t, err)
	cmd := exec.CommandContext(r.t.Context(), script, ".")
	cmd.Dir = r.dir
	out, err := cmd.CombinedOutput()
	require.Equal(r.t, want, err == nil, "%s", out)
	require.Contains(r.t, string(out), says)
}

func TestCheck(t *testing.T) {
	const turn = "package lock\n\n"
	t.Run("before v1", func(t *testing.T) {
		r := newRepo(t, "v0.1.0")
		r.check(true, "compatible with v0.1.0")
		r.write("lock.go", turn+"func Turn(key string) error { return nil }\n\nfunc Open() {}\n")
		r.write("examples/demo/demo.go", "package demo\n")
		r.check(true, "compatible with v0.1.0")
		r.write("lock.go", turn+"func Turn(key []byte) error { return nil }\n")
		r.check(false, "Turn: changed from func(string) error to func([]byte) error")
		r.write("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n- **Breaking**: Turn takes bytes\n\n## [0.1.0]\n")
		r.check(true, "the changelog says so")
	})
	t.Run("a tag goes before", func(t *testing.T) {
		r := newRepo(t, "v1.0.0")
		r.write("lock.go", turn+"func Turn(key []byte) error { return nil }\n")
		r.check(false, "Turn: changed")
		r.write("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n- **Breaking**: Turn takes bytes\n")
		r.check(false, "that breaks callers")
		r.git("commit", "-q", "-a", "-m", "another way")
		r.git("tag", "v2.0.0")
		r.check(true, "compatible with v2.0.0")
	})
	t.Run("no release", func(t *testing.T) {
		r := newRepo(t, "of nothing")
		r.check(false, "no release to compare with")

		r.git("commit", "-q", "--allow-empty", "-m", "another")
		shallow := &repo{t, filepath.Join(t.TempDir(), "clone")}
		r.git("clone", "-q", "--depth=1", "file://"+r.dir, shallow.dir)
		shallow.check(true, "not compared")
	})
}
