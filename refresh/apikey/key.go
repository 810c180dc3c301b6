package apikey

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

// A Form says where the key is in a credential and in a request. The zero Form is the
// password of the credential, as "Authorization: Bearer …".
type Form struct {
	// Field of the credential that holds the key. Empty: the password.
	Field string

	// Header of the request. Empty: Authorization.
	Header string

	// Prefix is what stands before the key. Empty: "Bearer " in the header
	// Authorization, and nothing in any other.
	Prefix string
}

func (f Form) withDefaults() (Form, error) {
	if f.Header == "" {
		f.Header = "Authorization"
	}
	f.Header = http.CanonicalHeaderKey(f.Header)
	if f.Header == "Authorization" {
		f.Prefix = cmp.Or(f.Prefix, "Bearer ")
	}
	if !isToken(f.Header) || !isVisible(f.Prefix) {
		return f, fmt.Errorf("apikey: %q with %q is no header", f.Header, f.Prefix)
	}
	return f, nil
}

// a key is what one generation has.
type key struct {
	generation uint64
	value      string // of the header
}

// parse reads the key of a credential.
func (f Form) parse(s refresh.Snapshot) (key, error) {
	secret, name := s.Password, "password"
	if f.Field != "" {
		secret, _ = s.Field(f.Field)
		name = f.Field
	}
	value, err := f.value(secret)
	if err != nil {
		return key{}, &source.FieldError{Where: "apikey", Field: name, Problem: err.Error()}
	}
	return key{s.Generation, value}, nil
}

// value returns the header's value. Its errors say nothing about the secret.
func (f Form) value(secret source.Secret) (string, error) {
	text := secret.Reveal()
	switch {
	case text == "":
		return "", errors.New("is missing or empty; it should hold the key")
	case strings.TrimSpace(text) != text:
		return "", errors.New("has blanks or line breaks around the key")
	case !isVisible(text):
		return "", errors.New("has characters that a header should not hold; it should be ASCII without line breaks")
	}
	return f.Prefix + text, nil
}

// isVisible reports whether text is ASCII that can be seen, with blanks between.
func isVisible(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

// isToken reports whether text can be the name of a header (RFC 9110).
func isToken(text string) bool {
	return isVisible(text) && !strings.ContainsAny(text, " \"(),/:;<=>?@[\\]{}")
}
