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
