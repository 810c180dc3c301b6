package buildonce_test

import (
	"bytes"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/buildonce"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func module(t *testing.T, source string) buildonce.Program {
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module m\n", "go.sum": "", "main.go": source} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return buildonce.Program{Name: "hello", Title: "Hello", Dir: dir}
}

func TestBuildsOnceForEachSource(t *testing.T) {
	cache := t.TempDir()
	out, err := exec.Command("go", "env", "GOCACHE").Output()
	require.NoError(t, err)
	t.Setenv("GOCACHE", string(bytes.TrimSpace(out)))
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("HOME", cache)
	p := module(t, "package main\nfunc main() { println(1) }\n")
	var said bytes.Buffer
	first, err := p.Path(t.Context(), log.New(&said, "", 0))
	require.NoError(t, err)
	require.Contains(t, said.String(), "Hello is built")
	require.NoError(t, exec.Command(first).Run())

	said.Reset()
	again, err := p.Path(t.Context(), log.New(&said, "", 0))
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.Empty(t, said.String())

	p.Flags = []string{"-tags=other"}
	other, err := p.Path(t.Context(), log.New(&said, "", 0))
	require.NoError(t, err)
	require.NotEqual(t, first, other)

	broken := module(t, "package main\nfunc main() { nothing }\n")
	_, err = broken.Path(t.Context(), log.New(&said, "", 0))
	require.ErrorContains(t, err, "undefined: nothing")
	_, err = buildonce.Program{Name: "hello", Dir: cache}.Path(t.Context(), log.New(&said, "", 0))
	require.ErrorContains(t, err, "is not here")
}
