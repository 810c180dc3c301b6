package judges_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	pgx     = "github.com/jackc/pgx/v5"
	managed = "github.com/rekey-go/rekey/internal/judges/managed"
)

// redirected are the imports that lead to the managed pools, and one of pgx's
// internal packages, which is laid beside them.
var redirected = strings.NewReplacer(
	`"`+pgx+`/pgxpool"`, `"`+managed+`/pgxpool"`,
	`"`+pgx+`/stdlib"`, `"`+managed+`/stdlib"`,
	`"`+pgx+`/internal/pgmock"`, `"`+managed+`/pgmock"`,
	`"database/sql"`, `"`+managed+`/sql"`,
)

// overlay writes pgx's test files of a package with their imports redirected
// and returns the file that has the go command see them in managed/.
func overlay(t *testing.T, pkg string) string {
	t.Helper()
	from := strings.TrimSpace(string(command(t, "go", "list", "-m", "-f", "{{.Dir}}", pgx)))
	here, err := os.Getwd()
	require.NoError(t, err)
	to := t.TempDir()
	replace := map[string]string{}
	lay := func(source, dir string) {
		text, err := os.ReadFile(source)
		require.NoError(t, err)
		path := filepath.Join(to, filepath.Base(source))
		require.NoError(t, os.WriteFile(path, []byte(redirected.Replace(string(text))), 0o600))
		replace[filepath.Join(here, "managed", dir, filepath.Base(source))] = path
	}

	files, err := filepath.Glob(filepath.Join(from, pkg, "*_test.go"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	missing := maps.Clone(leftOut[pkg])
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly)
		require.NoError(t, err)
		if parsed.Name.Name == pkg { // inside the package: it cannot be redirected
			require.Contains(t, missing, filepath.Base(file), "list it as left out, with the reason")
			delete(missing, filepath.Base(file))
			continue
		}
		lay(file, pkg)
	}
	require.Empty(t, missing, "pgx has no such file any more: remove it from those that are left out")
	lay(filepath.Join(from, "internal", "pgmock", "pgmock.go"), "pgmock")

	text, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	path := filepath.Join(to, "overlay.json")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return path
}

// A binary is a compiled test-suite with a database to run on.
type binary struct{ path, dsn string }

func build(t *testing.T, pkg, overlay string) *binary {
	t.Helper()
	b := &binary{path: filepath.Join(t.TempDir(), "judge.test"), dsn: dsn(t)}
	args := []string{"test", "-c", "-vet=off", "-o", b.path}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	if raceEnabled() {
		args = append(args, "-race")
	}
	command(t, "go", append(args, pkg)...)
	return b
}

// raceEnabled reports whether we were built with the race detector.
func raceEnabled() bool {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}

// A result is what became of one test, "pass", "fail" or "skip", and what it printed.
type result struct{ outcome, output string }

// run runs the suite and returns a result for each test and sub-test. A suite
// that ends early leaves those that were running as failed.
func (b *binary) run(t *testing.T, args ...string) map[string]result {
	t.Helper()
	args = append([]string{"tool", "test2json", b.path, "-test.v=test2json", "-test.timeout=5m", "-test.parallel=4"}, args...)
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "PGX_TEST_DATABASE="+b.dsn)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	results := map[string]result{}
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event struct{ Action, Test, Output string }
		require.NoError(t, json.Unmarshal(lines.Bytes(), &event), lines.Text())
		r := results[event.Test]
		switch event.Action {
		case "output":
			r.output += event.Output
		case "pass", "fail", "skip":
			r.outcome = event.Action
		}
		results[event.Test] = r
	}
	require.NoError(t, lines.Err())
	whole := results[""]
	delete(results, "")
	for name, r := range results {
		if r.outcome == "" {
			results[name] = result{"fail", r.output + whole.output}
		}
	}
	return results
}

// list is the names of all tests.
func (b *binary) list(t *testing.T) []string {
	t.Helper()
	return strings.Fields(string(command(t, b.path, "-test.list", ".")))
}

func command(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s %v\n%s", name, args, &stderr)
	return out
}
