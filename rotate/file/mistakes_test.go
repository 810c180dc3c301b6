//go:build unix

package file_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate/file"
	"github.com/rekey-go/rekey/source"
)

func TestMistakes(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	good := write("good", `{"username":"app","password":"canary"}`)
	write(".odd.rekey", `{"pending":"canary"}`)
	write(".half.rekey", `{"pending":{"token":"canary"`)
	write(".less.rekey", `{"pending":{"token":"x"}}`)
	for _, c := range []struct {
		name, path string
		opts       *file.Options
		says       string
		permanent  bool
	}{
		{"no path", "", nil, "path is empty", true},
		{"one file for both", good, &file.Options{Beside: good}, "another file", true},
		{"no file", filepath.Join(dir, "none"), nil, "file does not exist", true},
		{"a directory", dir, nil, "not a regular file", true},
		{"no JSON", write("text", "canary"), nil, "not a JSON object", false},
		{"half of it", write("part", `{"username":"app","password":"canary`), nil, "not a JSON object", false},
		{"something behind", write("behind", `{"username":"app","password":"canary"} canary`), nil, "not a JSON object", false},
		{"not UTF-8", write("utf8", "{\"username\":\"app\",\"password\":\"canary\xff\"}"), nil, "not a JSON object", false},
		{"too large", write("large", `{"username":"app","password":"`+string(make([]byte, 1<<20))+`"}`), nil, "too large", true},
		{"no password", write("user", `{"username":"canary"}`), nil, `field "password"`, true},
		{"another field", good, &file.Options{PasswordField: "pw"}, `field "pw"`, true},
		{"something else beside", write("odd", `{"username":"app","password":"canary"}`), nil, "did something else write", true},
		{"half of it beside", write("half", `{"username":"app","password":"canary"}`), nil, ".half.rekey: is not a JSON object", false},
		{"no password beside", write("less", `{"username":"app","password":"canary"}`), nil, "lacks a token or a password", true},
		{"no directory beside", good, &file.Options{Beside: filepath.Join(dir, "none", "x")}, "no such file or directory", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := file.New(c.path, c.opts).Create(t.Context(), "one", next("canary-second"))
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, err.Error(), "canary")
			require.Equal(t, c.permanent, source.IsPermanent(err))
		})
	}
}
