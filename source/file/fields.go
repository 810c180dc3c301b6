package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/rekey-go/rekey/source"
)

// noValue is what Vault Agent's templates print for a key that is missing.
const noValue = "<no value>"

// versionField holds the token of the rotation that has written the credential
// (package rotate/file), which then is its version.
const versionField = "rekey_version"

// usernameFields and passwordField are the names that hold the user name, the
// first that is there, and the password.
func (s *Source) usernameFields() []string {
	if s.opts.UsernameField != "" {
		return []string{s.opts.UsernameField}
	}
	return []string{"username", "user"}
}

func (s *Source) passwordField() string {
	if s.opts.PasswordField != "" {
		return s.opts.PasswordField
	}
	return "password"
}

// isLogin reports whether name holds the user name or the password. Only such
// names appear in errors: an unknown one may be a piece of a password that
// lost its quotes.
func (s *Source) isLogin(name string) bool {
	return name == s.passwordField() || slices.Contains(s.usernameFields(), name)
}

// problem is the error for what is wrong with the field name on a line.
func (s *Source) problem(name string, line int, problem string) error {
	if s.isLogin(name) {
		return s.fieldError(name, problem)
	}
	return &SyntaxError{s.path, line, "the value " + problem}
}

func (s *Source) fieldError(name, problem string) error {
	return &source.FieldError{Where: s.path, Field: name, Problem: problem}
}

// credential makes a credential of the fields that a file holds.
func (s *Source) credential(values map[string]string) (source.Credential, error) {
	var c source.Credential
	usernameField := s.usernameFields()[0]
	for _, name := range s.usernameFields() {
		if _, ok := values[name]; ok {
			usernameField = name
			break
		}
	}
	c.Username = values[usernameField]
	c.Password = source.NewSecret(values[s.passwordField()])
	if err := s.check(c, usernameField, s.passwordField()); err != nil {
		return source.Credential{}, err
	}
	c.Version = values[versionField]
	fields := make(map[string]source.Secret)
	for name, value := range values {
		if name != usernameField && name != s.passwordField() && name != versionField {
			fields[name] = source.NewSecret(value)
		}
	}
	if len(fields) > 0 {
		c = c.WithFields(fields)
	}
	return c, nil
}

// check refuses what no login can be made with.
func (s *Source) check(c source.Credential, usernameField, passwordField string) error {
	switch {
	case c.Username == "" && !s.opts.AllowNoUsername:
		return s.fieldError(usernameField, "is missing or empty; it should hold the user name")
	case strings.Contains(c.Username, noValue):
		return s.fieldError(usernameField, isNoValue)
	case strings.ContainsRune(c.Username, 0):
		return s.fieldError(usernameField, "contains a NUL byte")
	case !utf8.ValidString(c.Username):
		return s.fieldError(usernameField, "is not valid UTF-8")
	}
	password := c.Password.Reveal()
	switch {
	case password == "":
		return s.fieldError(passwordField, "is missing or empty; it should hold the password")
	case strings.Contains(password, noValue):
		return s.fieldError(passwordField, isNoValue)
	case strings.ContainsRune(password, 0):
		return s.fieldError(passwordField, "contains a NUL byte")
	}
	return nil
}

const isNoValue = "reads " + noValue + ": the template that wrote it did not find the key in its store"

// checked holds what parse returns against the rules.
func (s *Source) checked(parse Parser) Parser {
	return func(data []byte) (source.Credential, error) {
		c, err := parse(data)
		if err != nil {
			return source.Credential{}, fmt.Errorf("%s: %w", s.path, err)
		}
		if err := s.check(c, "username", "password"); err != nil {
			return source.Credential{}, err
		}
		return c, nil
	}
}

// readFile reads a regular file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	// Opening a named pipe would block, so look first.
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("file: %w", err)
	}
	switch {
	case info.IsDir():
		return nil, fmt.Errorf("%s: is a directory; Dir reads one", path)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: is not a regular file", path)
	case info.Size() > limit:
		return nil, tooLarge(path, limit)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("file: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("file: %w", err)
	}
	if int64(len(data)) > limit {
		return nil, tooLarge(path, limit)
	}
	return data, nil
}

func tooLarge(path string, limit int64) error {
	return source.Permanent(fmt.Errorf("%s: %w: more than %d bytes", path, ErrTooLarge, limit))
}

func blank(data []byte) bool { return len(bytes.TrimSpace(trimBOM(data))) == 0 }

func trimBOM(data []byte) []byte { return bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) }

// lineAt returns the number of the line that holds data[offset], from 1.
func lineAt(data []byte, offset int) int {
	return 1 + bytes.Count(data[:min(offset, len(data))], []byte("\n"))
}
