package file_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/file"
	"github.com/rekey-go/rekey/source/sourcetest"
)

// harness keeps one credential in a store that put writes.
func harness(t *testing.T, src source.Source, put func(username, password string), spoil func(password string)) sourcetest.Harness {
	n := 0
	var current source.Credential
	rotate := func(*testing.T) source.Credential {
		n++
		username, password := fmt.Sprintf("user-%d", n), fmt.Sprintf("%s-%d", canary, n)
		current = source.Credential{Username: username, Password: source.NewSecret(password)}
		put(username, password)
		return current
	}
	rotate(t)
	return sourcetest.Harness{
		Source: src,
		Rotate: rotate,
		Break:  func(*testing.T) { spoil(current.Password.Reveal()) },
		Mend:   func(*testing.T) { put(current.Username, current.Password.Reveal()) },
	}
}

func TestFilesConform(t *testing.T) {
	for _, f := range formats {
		t.Run(f.name, func(t *testing.T) {
			t.Run("replaced", func(t *testing.T) {
				sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
					path := filepath.Join(t.TempDir(), "db")
					return harness(t, f.open(path, nil),
						func(u, p string) { replace(t, path, f.write(u, p)) },
						func(p string) { replace(t, path, p) })
				})
			})
			t.Run("in place", func(t *testing.T) {
				sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
					path := filepath.Join(t.TempDir(), "db")
					return harness(t, f.open(path, nil),
						func(u, p string) { write(t, path, f.write(u, p)) },
						func(p string) { write(t, path, p) })
				})
			})
			t.Run("volume, polls only", func(t *testing.T) {
				file.FailWatcher(t, os.ErrPermission)
				sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
					v := volume{dir: t.TempDir()}
					return harness(t, f.open(filepath.Join(v.dir, "db"), &file.Options{Poll: time.Millisecond, Logger: quiet()}),
						func(u, p string) { require.NoError(t, v.swap(map[string]string{"db": f.write(u, p)})) },
						func(p string) { require.NoError(t, v.swap(map[string]string{"db": p})) })
				})
			})
		})
	}
}

func TestDirConforms(t *testing.T) {
	t.Run("volume", func(t *testing.T) {
		sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
			v := volume{dir: t.TempDir()}
			return harness(t, file.Dir(v.dir, nil),
				func(u, p string) { require.NoError(t, v.swap(login(u, p))) },
				func(p string) { require.NoError(t, v.swap(login("<no value>", p))) })
		})
	})
	t.Run("plain", func(t *testing.T) {
		sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
			dir := t.TempDir()
			return harness(t, file.Dir(dir, nil),
				func(u, p string) {
					write(t, filepath.Join(dir, "username"), u+"\n")
					write(t, filepath.Join(dir, "password"), p+"\n")
				},
				func(p string) {
					write(t, filepath.Join(dir, "password"), p+"\x00\n")
				})
		})
	})
}

func TestCredentialHasFields(t *testing.T) {
	fields := func(c source.Credential) map[string]string {
		m := map[string]string{}
		for _, name := range c.FieldNames() {
			s, _ := c.Field(name)
			m[name] = s.Reveal()
		}
		return m
	}
	dir := t.TempDir()
	began := time.Now()

	c := read(t, file.JSON(write(t, filepath.Join(dir, "a.json"), "\xef\xbb\xbf"+
		`{"user":"app","password":"pw","host":"db","port":5432,"tls":true,"plain":false}`), nil))
	assert.Equal(t, "app", c.Username)
	assert.Equal(t, map[string]string{"host": "db", "port": "5432", "tls": "true", "plain": "false"}, fields(c))
	assert.Empty(t, c.Version, "the refresher names it")
	assert.False(t, c.Issued.Before(began))
	assert.True(t, c.Expires.IsZero())

	c = read(t, file.JSON(write(t, filepath.Join(dir, "b.json"), `{"username":"app","user":"other","password":"pw"}`), nil))
	assert.Equal(t, "app", c.Username)
	assert.Equal(t, map[string]string{"user": "other"}, fields(c))

	c = read(t, file.JSON(write(t, filepath.Join(dir, "c.json"), `{"login":"app","secret":"pw","password":7}`),
		&file.Options{UsernameField: "login", PasswordField: "secret"}))
	assert.Equal(t, "app", c.Username)
	assert.Equal(t, "pw", c.Password.Reveal())
	assert.Equal(t, map[string]string{"password": "7"}, fields(c))

	write(t, filepath.Join(dir, "d", "username"), "app\r\n")
	write(t, filepath.Join(dir, "d", "password"), "pw\n\n")
	write(t, filepath.Join(dir, "d", "tls.key"), "\x00\xff")
	write(t, filepath.Join(dir, "d", "..hidden"), "no")
	write(t, filepath.Join(dir, "d", "sub", "no"), "no")
	require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, "d", "dangling")))
	c = read(t, file.Dir(filepath.Join(dir, "d"), nil))
	assert.Equal(t, "app", c.Username)
	assert.Equal(t, "pw\n", c.Password.Reveal(), "one line break is dropped")
	assert.Equal(t, map[string]string{"tls.key": "\x00\xff"}, fields(c))

	c = read(t, file.Pgpass(write(t, filepath.Join(dir, "pgpass"), "db:*:app:u:pw"), file.Match{}, nil))
	assert.Equal(t, map[string]string{"host": "db", "database": "app"}, fields(c))
}

func TestDotenvSyntax(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                    "plain",
		"plain\r":                  "plain",
		" padded \t":               "padded",
		"a b":                      "a b",
		"a#b":                      "a#b",
		"#a":                       "#a",
		"a # comment":              "a",
		"'a # b' # comment":        "a # b",
		`"a \"b\" \\ \$ \n\t\r\q"`: "a \"b\" \\ $ \n\t\r\\q",
		"'two\nlines'":             "two\nlines",
		`'a\n"b'`:                  `a\n"b`,
		"\"`$x`\"":                 "`$x`",
		"a=b==":                    "a=b==",
		`"'"`:                      "'",
	} {
		path := write(t, filepath.Join(t.TempDir(), ".env"), "# comment\r\n\n  export\tPGUSER=app\r\nPGPASSWORD="+text+"\nOTHER=1")
		c := read(t, file.Dotenv(path, nil))
		assert.Equal(t, want, c.Password.Reveal(), "%q", text)
		assert.Equal(t, "app", c.Username)
		assert.Equal(t, []string{"OTHER"}, c.FieldNames())
	}
	path := write(t, filepath.Join(t.TempDir(), ".env"), "export=1\nPGUSER=a\nPGPASSWORD=old\nPGPASSWORD = new")
	c := read(t, file.Dotenv(path, nil))
	assert.Equal(t, "new", c.Password.Reveal(), "the last of duplicates")
	assert.Equal(t, []string{"export"}, c.FieldNames())
}

func TestPgpassMatches(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "pgpass"), `# host:port:database:user:password
too:few
#db:5432:app:app:commented
db\:6:5432:app:app:colon
db:5432:app:app:first
db:5432:app:app:second
db:5432:*:admin:any\\database:ignored
\*:1:x:y:literal star
*:*:*:*:last
`)
	for name, c := range map[string]struct {
		match    file.Match
		user, pw string
	}{
		"first wins":   {file.Match{Host: "db", Port: "5432", Database: "app", User: "app"}, "app", "first"},
		"user of line": {file.Match{Host: "db", Database: "other"}, "admin", `any\database`},
		"escaped host": {file.Match{Host: "db:6"}, "app", "colon"},
		"wildcard":     {file.Match{Host: "elsewhere", User: "me"}, "me", "last"},
		"star":         {file.Match{Host: "*", User: "y"}, "y", "literal star"},
	} {
		t.Run(name, func(t *testing.T) {
			got := read(t, file.Pgpass(path, c.match, nil))
			assert.Equal(t, c.user, got.Username)
			assert.Equal(t, c.pw, got.Password.Reveal())
		})
	}

	_, err := file.Pgpass(path, file.Match{Host: "elsewhere"}, nil).Credential(t.Context())
	var field *source.FieldError
	require.ErrorAs(t, err, &field, "neither the match nor the line has a user")
	assert.Equal(t, "username", field.Field)

	_, err = file.Pgpass(write(t, path, "db:1:x:y:"+canary), file.Match{Host: "other"}, nil).Credential(t.Context())
	require.ErrorIs(t, err, file.ErrNoMatch)
	assert.NotContains(t, err.Error(), canary)
}
