package file_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/file"
)

func TestF32_BrokenFilesRecover(t *testing.T) {
	for _, f := range formats {
		t.Run(f.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "db")
			src := f.open(path, nil)
			good := f.write("app", canary)
			for _, broken := range []string{"", "\n", "\xef\xbb\xbf", " \r\n"} {
				write(t, path, broken)
				_, err := src.Credential(t.Context())
				require.ErrorIs(t, err, file.ErrEmpty)
				assert.False(t, source.IsPermanent(err), "somebody is about to write it")
				write(t, path, good)
				assert.Equal(t, canary, read(t, src).Password.Reveal())
			}
			require.NoError(t, os.Remove(path))
			_, err := src.Credential(t.Context())
			require.ErrorIs(t, err, fs.ErrNotExist)
			assert.False(t, source.IsPermanent(err))
			write(t, path, good)
			read(t, src)
		})
	}
	t.Run("half JSON", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "db")
		src := file.JSON(path, nil)
		good := jsonOf("app", canary)
		for n := 1; n < len(good); n++ {
			write(t, path, good[:n])
			_, err := src.Credential(t.Context())
			var syntax *file.SyntaxError
			require.ErrorAs(t, err, &syntax, "%d bytes", n)
			assert.False(t, source.IsPermanent(err))
			assert.NotContains(t, err.Error(), "CANARY")
		}
		write(t, path, good)
		read(t, src)
	})
	t.Run("half directory", func(t *testing.T) {
		dir := t.TempDir()
		src := file.Dir(dir, nil)
		_, err := src.Credential(t.Context())
		require.ErrorIs(t, err, file.ErrEmpty)
		write(t, filepath.Join(dir, "username"), "app")
		write(t, filepath.Join(dir, "password"), "")
		_, err = src.Credential(t.Context())
		require.ErrorIs(t, err, file.ErrEmpty)
		assert.False(t, source.IsPermanent(err))
		write(t, filepath.Join(dir, "password"), canary)
		read(t, src)
	})
}

func TestF33_OldFileWarns(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "db"), jsonOf("app", canary))
	var log bytes.Buffer
	src := file.JSON(path, &file.Options{MaxAge: time.Hour, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	assert.Zero(t, src.Age())
	assert.Empty(t, src.Warning())

	read(t, src)
	assert.Empty(t, src.Warning())
	assert.Less(t, src.Age(), time.Minute)

	old := time.Now().Add(-2 * time.Hour)
	require.NoError(t, os.Chtimes(path, old, old))
	read(t, src)
	read(t, src)
	assert.InDelta(t, 2*time.Hour, src.Age(), float64(time.Minute))
	assert.Contains(t, src.Warning(), path)
	assert.Contains(t, src.Warning(), "subPath")
	assert.Equal(t, 1, strings.Count(log.String(), "\n"), "warned once: %s", log.String())
	assert.NotContains(t, log.String(), canary)

	replace(t, path, jsonOf("app", "new"))
	read(t, src)
	assert.Empty(t, src.Warning())

	require.NoError(t, os.Chtimes(path, old.Add(1), old.Add(1)))
	read(t, src)
	assert.Equal(t, 2, strings.Count(log.String(), "\n"), "another old state is another warning")

	silent := file.JSON(path, nil)
	read(t, silent)
	assert.Empty(t, silent.Warning(), "no limit, no warning")
}

func TestF34_GenerationsNeverMix(t *testing.T) {
	pair := func(n int) (username, password string) {
		return fmt.Sprintf("user-%d", n), fmt.Sprintf("password of user-%d", n)
	}
	v := volume{dir: t.TempDir()}
	path := filepath.Join(t.TempDir(), "db")
	for name, c := range map[string]struct {
		src source.Source
		put func(n int) error
	}{
		"Dir": {file.Dir(v.dir, nil), func(n int) error {
			files := login(pair(n))
			if n%2 == 0 {
				files["even"] = "yes"
			}
			return v.swap(files)
		}},
		"JSON": {file.JSON(path, nil), func(n int) error {
			if err := os.WriteFile(path+".tmp", []byte(jsonOf(pair(n))), 0o600); err != nil {
				return err
			}
			return os.Rename(path+".tmp", path)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, c.put(0))
			done := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				defer close(done)
				for n := 1; n <= 400; n++ {
					if !assert.NoError(t, c.put(n)) {
						return
					}
				}
			})
			for range 4 {
				wg.Go(func() {
					good := 0
					for running := true; running; {
						select {
						case <-done:
							running = false
						default:
						}
						got, err := c.src.Credential(context.Background())
						if err != nil {
							// Swapped faster than it can be read: told, never mixed.
							assert.ErrorContains(t, err, "kept changing")
							continue
						}
						good++
						assert.Equal(t, "password of "+got.Username, got.Password.Reveal())
						if name == "Dir" {
							_, even := got.Field("even")
							assert.Equal(t, strings.ContainsRune("02468", rune(got.Username[len(got.Username)-1])), even, got.Username)
						}
					}
					assert.Positive(t, good)
				})
			}
			wg.Wait()
		})
	}
}

func TestF35_BadContent(t *testing.T) {
	const big = 10 << 20
	match := func(path string, opts *file.Options) *file.Source { return file.Pgpass(path, file.Match{}, opts) }
	custom := func(path string, opts *file.Options) *file.Source { return file.Custom(path, parseLines, opts) }
	for name, c := range map[string]struct {
		open    func(string, *file.Options) *file.Source
		content string
		field   string // of a FieldError; empty: a SyntaxError on line
		line    int
	}{
		"JSON no value":        {file.JSON, `{"username":"app","password":"<no value>","x":"CANARY"}`, "password", 0},
		"JSON no value within": {file.JSON, `{"username":"CANARY<no value>","password":"CANARY"}`, "username", 0},
		"JSON no value beside": {file.JSON, "{\"username\":\"app\",\n\"password\":\"CANARY\",\n\"CANARY\":\"<no value>\"}", "", 3},
		"JSON no password":     {file.JSON, `{"username":"CANARY"}`, "password", 0},
		"JSON empty password":  {file.JSON, `{"username":"CANARY","password":""}`, "password", 0},
		"JSON no user":         {file.JSON, `{"password":"CANARY"}`, "username", 0},
		"JSON empty user":      {file.JSON, `{"user":"","password":"CANARY"}`, "user", 0},
		"JSON number password": {file.JSON, `{"username":"CANARY","password":8812394}`, "password", 0},
		"JSON null password":   {file.JSON, `{"username":"CANARY","password":null}`, "password", 0},
		"JSON array user":      {file.JSON, `{"username":["CANARY"],"password":"CANARY"}`, "username", 0},
		"JSON object beside":   {file.JSON, `{"CANARY":{"CANARY":"CANARY"}}`, "", 1},
		"JSON null beside":     {file.JSON, `{"CANARY":null}`, "", 1},
		"JSON twice":           {file.JSON, `{"password":"CANARY","password":"CANARY"}`, "password", 0},
		"JSON twice beside":    {file.JSON, `{"CANARY":"CANARY","CANARY":"CANARY"}`, "", 1},
		"JSON array":           {file.JSON, `["CANARY"]`, "", 1},
		"JSON null":            {file.JSON, `null`, "", 1},
		"JSON text":            {file.JSON, "\n\nCANARY", "", 3},
		"JSON text within":     {file.JSON, "{\n\"username\": CANARY}", "", 2},
		"JSON behind":          {file.JSON, `{"username":"app","password":"CANARY"} CANARY`, "", 1},
		"JSON two":             {file.JSON, `{"username":"app","password":"CANARY"}{"CANARY":1}`, "", 1},
		"JSON trailing comma":  {file.JSON, `{"username":"app","password":"CANARY",}`, "", 1},
		"JSON not UTF-8":       {file.JSON, "{\"username\":\"app\",\"password\":\"CANARY\xff\"}", "", 1},
		"JSON NUL":             {file.JSON, `{"username":"CANARY","password":"CANARY\u0000"}`, "password", 0},
		"JSON NUL user":        {file.JSON, `{"username":"CANARY\u0000","password":"CANARY"}`, "username", 0},

		"dotenv no value":     {file.Dotenv, "PGUSER=app\nPGPASSWORD=<no value>\nX=CANARY", "PGPASSWORD", 0},
		"dotenv beside":       {file.Dotenv, "PGUSER=app\r\nPGPASSWORD=CANARY\r\nCANARY=<no value>", "", 3},
		"dotenv no password":  {file.Dotenv, "PGUSER=CANARY", "PGPASSWORD", 0},
		"dotenv empty":        {file.Dotenv, "PGUSER=CANARY\nPGPASSWORD=''", "PGPASSWORD", 0},
		"dotenv no user":      {file.Dotenv, "PGPASSWORD=CANARY", "PGUSER", 0},
		"dotenv comments":     {file.Dotenv, "# CANARY", "PGUSER", 0},
		"dotenv not UTF-8":    {file.Dotenv, "PGUSER=CANARY\xff\nPGPASSWORD=CANARY", "PGUSER", 0},
		"dotenv no equals":    {file.Dotenv, "PGUSER=app\nCANARY", "", 2},
		"dotenv no name":      {file.Dotenv, "PGUSER=app\n\n=CANARY", "", 3},
		"dotenv odd name":     {file.Dotenv, "CANARY'S=1", "", 1},
		"dotenv quote":        {file.Dotenv, "PGUSER=app\nPGPASSWORD=\"CANARY\\\"\n\n", "", 2},
		"dotenv single quote": {file.Dotenv, "PGPASSWORD='CANARY\n", "", 1},
		"dotenv behind":       {file.Dotenv, "A='1\n2'\nPGPASSWORD='CAN'CANARY", "", 3},

		"pgpass no value": {match, "db:1:x:app:<no value>CANARY", "password", 0},
		"pgpass empty":    {match, "db:1:x:CANARY:", "password", 0},
		"pgpass NUL":      {match, "db:1:x:CANARY:CANARY\x00", "password", 0},
		"pgpass no user":  {match, "db:1:x::CANARY", "username", 0},

		"custom no user": {custom, "\nCANARY", "username", 0},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, filepath.Join(t.TempDir(), "db"), c.content)
			got, err := c.open(path, nil).Credential(t.Context())
			require.Error(t, err)
			assert.True(t, got.Same(source.Credential{}))
			for _, verb := range []string{"%v", "%+v", "%#v"} {
				assert.NotContains(t, fmt.Sprintf(verb, err), "CANARY")
				assert.NotContains(t, fmt.Sprintf(verb, err), "8812394")
			}
			var field *source.FieldError
			var syntax *file.SyntaxError
			if c.field != "" {
				require.ErrorAs(t, err, &field)
				assert.Equal(t, c.field, field.Field)
				assert.Equal(t, path, field.Where)
			} else {
				require.ErrorAs(t, err, &syntax)
				assert.Equal(t, c.line, syntax.Line)
				assert.Equal(t, path, syntax.Path)
			}
		})
	}

	t.Run("dir", func(t *testing.T) {
		for field, files := range map[string]map[string]string{
			"password": {"username": "CANARY", "password": "<no value>"},
			"username": {"username": "\xffCANARY", "password": "CANARY"},
			"host":     {"username": "CANARY", "password": "CANARY", "host": "<no value>"},
		} {
			v := volume{dir: t.TempDir()}
			require.NoError(t, v.swap(files))
			_, err := file.Dir(v.dir, nil).Credential(t.Context())
			var fieldErr *source.FieldError
			require.ErrorAs(t, err, &fieldErr)
			assert.Equal(t, field, fieldErr.Field)
			assert.NotContains(t, err.Error(), "CANARY")
		}
		v := volume{dir: t.TempDir()}
		require.NoError(t, v.swap(login("app", "\n")))
		_, err := file.Dir(v.dir, nil).Credential(t.Context())
		var fieldErr *source.FieldError
		require.ErrorAs(t, err, &fieldErr, "a line break alone is an empty password")
	})

	t.Run("10 MB", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "db")
		write(t, path, jsonOf("app", canary))
		require.NoError(t, os.Truncate(path, big))
		src := file.JSON(path, nil)
		_, err := src.Credential(t.Context())
		require.ErrorIs(t, err, file.ErrTooLarge)
		assert.True(t, source.IsPermanent(err))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = src.Credential(t.Context())
		runtime.ReadMemStats(&after)
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(big/2), "it is not read")

		write(t, path, jsonOf("app", canary))
		read(t, src)
		_, err = file.JSON(path, &file.Options{MaxSize: 8}).Credential(t.Context())
		require.ErrorIs(t, err, file.ErrTooLarge)
	})
	t.Run("large directory", func(t *testing.T) {
		v := volume{dir: t.TempDir()}
		require.NoError(t, v.swap(map[string]string{"a": strings.Repeat("a", 60), "username": "app", "password": strings.Repeat("p", 60)}))
		_, err := file.Dir(v.dir, &file.Options{MaxSize: 100}).Credential(t.Context())
		require.ErrorIs(t, err, file.ErrTooLarge)
		assert.Contains(t, err.Error(), "100 bytes")
	})
}

// odd are values that naive formats and connection strings get wrong.
var odd = []string{
	"a b", " lead and trail ", `'`, `"`, `\`, `a\`, `\n`, "@", "/", ":", "::", "#", "a #b", "%", "%2F", "$HOME", "`id`",
	"x host=evil", "a&b=c?d", "pässwörd", "密码", "\U0001F511", "=", "==", "*", "{}", "null", "\t", "a\tb", "<no-value>", strings.Repeat("x", 5000),
}

func TestF36_OddValuesRoundTrip(t *testing.T) {
	for _, f := range formats {
		t.Run(f.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "db")
			src := f.open(path, nil)
			for _, value := range odd {
				write(t, path, f.write(value+"u", value))
				c := read(t, src)
				assert.Equal(t, value, c.Password.Reveal())
				assert.Equal(t, value+"u", c.Username)
			}
		})
	}
	t.Run("Dir", func(t *testing.T) {
		v := volume{dir: t.TempDir()}
		src := file.Dir(v.dir, nil)
		for _, value := range append(odd, "two\nlines", "a\rb") {
			require.NoError(t, v.swap(login(value+"u", value+"\n")))
			c := read(t, src)
			assert.Equal(t, value, c.Password.Reveal())
			assert.Equal(t, value+"u", c.Username)
		}
	})
	t.Run("line breaks", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "db")
		const value = "two\nlines\r\n"
		write(t, path, jsonOf("u", value))
		assert.Equal(t, value, read(t, file.JSON(path, nil)).Password.Reveal())
		write(t, path, dotenvOf("u", value))
		assert.Equal(t, value, read(t, file.Dotenv(path, nil)).Password.Reveal())
	})
}

func TestF37_WrongArgumentsAreErrors(t *testing.T) {
	for name, src := range map[string]*file.Source{
		"empty path":  file.JSON("", nil),
		"nil parser":  file.Custom("/nowhere", nil, nil),
		"nil options": file.Dir("", nil),
	} {
		_, err := src.Credential(t.Context())
		require.Error(t, err, name)
		assert.True(t, source.IsPermanent(err), name)
		stop := src.Watch(func() { t.Error("nothing changes") })
		stop()
		stop()
	}
	dir := t.TempDir()
	_, err := file.JSON(dir, nil).Credential(t.Context())
	require.ErrorContains(t, err, "directory")
	_, err = file.Dir(write(t, filepath.Join(dir, "db"), "x"), nil).Credential(t.Context())
	require.Error(t, err)
	_, err = file.Dir(filepath.Join(dir, "nowhere"), nil).Credential(t.Context())
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = file.JSON("/dev/null", nil).Credential(t.Context())
	require.ErrorContains(t, err, "not a regular file")

	failed := errors.New("not my format")
	_, err = file.Custom(filepath.Join(dir, "db"), func([]byte) (source.Credential, error) {
		return source.Credential{}, failed
	}, nil).Credential(t.Context())
	require.ErrorIs(t, err, failed)
}

func TestF37_NoUsername(t *testing.T) {
	dir := t.TempDir()
	allowed := &file.Options{AllowNoUsername: true}
	for name, src := range map[string]*file.Source{
		"JSON":   file.JSON(write(t, filepath.Join(dir, "json"), `{"password":"pw"}`), allowed),
		"Dotenv": file.Dotenv(write(t, filepath.Join(dir, "env"), `PGPASSWORD=pw`), allowed),
		"Pgpass": file.Pgpass(write(t, filepath.Join(dir, "pgpass"), `*:*:*:*:pw`), file.Match{}, allowed),
		"Dir":    file.Dir(filepath.Dir(write(t, filepath.Join(dir, "d", "password"), `pw`)), allowed),
		"Custom": file.Custom(write(t, filepath.Join(dir, "custom"), "\npw"), parseLines, allowed),
	} {
		c := read(t, src)
		assert.Empty(t, c.Username, name)
		assert.Equal(t, "pw", c.Password.Reveal(), name)
	}
}

func TestF38_SourceNeverPrints(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "db"), jsonOf("app", canary))
	src := file.JSON(path, nil)
	c := read(t, src)
	assert.Equal(t, "file "+path, src.String())
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		assert.NotContains(t, fmt.Sprintf(verb, src), canary)
		assert.NotContains(t, fmt.Sprintf(verb, c), canary)
	}
}
