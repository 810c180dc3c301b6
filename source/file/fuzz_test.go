package file_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rekey-go/rekey/source/file"
)

// fuzz puts a canary between what the fuzzer makes up: no content may panic,
// and no error may show the canary. Then it lets the format write user and
// password and read them again.
func fuzz(f *testing.F, open func(path string) *file.Source, format func(username, password string) string, fits func(value string) bool) {
	path := filepath.Join(f.TempDir(), "db")
	src := open(path)
	f.Fuzz(func(t *testing.T, before, after, username, password string) {
		write(t, path, before+"CANARY"+after)
		if _, err := src.Credential(t.Context()); err != nil {
			for _, verb := range []string{"%v", "%+v", "%#v"} {
				if strings.Contains(fmt.Sprintf(verb, err), "CANARY") {
					t.Fatalf("the error shows content: %v", err)
				}
			}
		}
		if !usable(username) || !usable(password) || !fits(username) || !fits(password) {
			return
		}
		write(t, path, format(username, password))
		c := read(t, src)
		if c.Username != username || c.Password.Reveal() != password {
			t.Fatalf("wrote %q and %q, read %q and %q", username, password, c.Username, c.Password.Reveal())
		}
	})
}

// usable reports whether value may be a user name or a password at all.
func usable(value string) bool {
	return value != "" && utf8.ValidString(value) && !strings.ContainsRune(value, 0) && !strings.Contains(value, "<no value>")
}

func anything(string) bool { return true }

func oneLine(value string) bool { return !strings.ContainsAny(value, "\n\r") }

func FuzzJSON(f *testing.F) {
	f.Add(`{"username":"app","password":"`, `"}`, "u", "p")
	f.Add("\xef\xbb\xbf{\"", `":"<no value>"}`, `"`, `\`)
	f.Add(`{"username":["`, `"]}`, "u", "\u2028")
	f.Add(`{"port":5432,"password":"\u0000`, `"} {}`, "u", "é")
	fuzz(f, func(path string) *file.Source { return file.JSON(path, nil) }, jsonOf, anything)
}

func FuzzDotenv(f *testing.F) {
	f.Add("export PGUSER=app\nPGPASSWORD=", "", "u", "p")
	f.Add("PGPASSWORD='", "' # comment", "'", "\"")
	f.Add("PGPASSWORD=\"\\", "\\\"", "$", "\\")
	f.Add("", "=<no value>", "#", " ")
	fuzz(f, func(path string) *file.Source { return file.Dotenv(path, nil) }, dotenvOf, anything)
}

func FuzzPgpass(f *testing.F) {
	f.Add("db:5432:app:app:", "", "u", "p")
	f.Add("*:*:*:*:", "\\", ":", "\\")
	f.Add("#", ":a\\:b:c:d:e", "#", "a:b")
	fuzz(f, func(path string) *file.Source { return file.Pgpass(path, file.Match{}, nil) }, pgpassOf,
		func(value string) bool { return oneLine(value) && value != "*" })
}

func FuzzDir(f *testing.F) {
	f.Add("", "", "u", "p")
	f.Add("<no value>", "\x00", "u\r", "p\n")
	v := volume{dir: f.TempDir()}
	src := file.Dir(v.dir, nil)
	f.Fuzz(func(t *testing.T, before, after, username, password string) {
		for _, files := range []map[string]string{
			login(before+"CANARY"+after, after),
			login(before, "CANARY"+after),
			{"username": before, "password": after, "other": before + "CANARY" + after},
		} {
			if err := v.swap(files); err != nil {
				t.Fatal(err)
			}
			if _, err := src.Credential(t.Context()); err != nil && strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), "CANARY") {
				t.Fatalf("the error shows content: %v", err)
			}
		}
		if !usable(username) || !usable(password) {
			return
		}
		if err := v.swap(login(username+"\n", password+"\r\n")); err != nil {
			t.Fatal(err)
		}
		want := login(strings.TrimSuffix(username, "\r"), password)
		if !usable(want["username"]) {
			return
		}
		if c := read(t, src); c.Username != want["username"] || c.Password.Reveal() != want["password"] {
			t.Fatalf("wrote %q, read %v and %q", want, c, c.Password.Reveal())
		}
	})
}
