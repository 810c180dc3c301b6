// Package fields reads a login out of the named values that a store answers
// with. Errors name the field and never hold a value.
package fields

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/rekey-go/rekey/source"
)

// Names say under which names the values of a login are kept.
type Names struct {
	Username, Password string
	OptionalUsername   bool // the pool's own configuration may name the user
}

// Login returns a credential with user name and password of data. where names
// the place for a [*source.FieldError].
func (n Names) Login(where string, data map[string]any) (c source.Credential, err error) {
	if c.Username, err = text(where, n.Username, "user name", data[n.Username], n.OptionalUsername); err != nil {
		return source.Credential{}, err
	}
	password, err := text(where, n.Password, "password", data[n.Password], false)
	if err != nil {
		return source.Credential{}, err
	}
	c.Password = source.NewSecret(password)
	return c, nil
}

// text returns value as a text that a login can be made with.
func text(where, name, what string, value any, optional bool) (string, error) {
	wrong := func(problem string) (string, error) {
		return "", &source.FieldError{Where: where, Field: name, Problem: problem}
	}
	switch value := value.(type) {
	case nil:
		if optional {
			return "", nil
		}
		return wrong("is missing; it should hold the " + what)
	case string:
		switch {
		case value == "" && !optional:
			return wrong("is empty; it should hold the " + what)
		case strings.ContainsRune(value, 0):
			return wrong("contains a NUL byte")
		case !utf8.ValidString(value):
			return wrong("is not valid UTF-8")
		}
		return value, nil
	default:
		return wrong("is not a string; it should hold the " + what)
	}
}

// Changed returns those fields of next that data holds otherwise or not at all.
func (n Names) Changed(data map[string]any, next source.Credential) map[string]string {
	now := n.Others(source.Credential{}, data)
	changed := make(map[string]string)
	for _, name := range next.FieldNames() {
		want, _ := next.Field(name)
		if got, ok := now.Field(name); name != n.Username && name != n.Password && (!ok || !got.Equal(want)) {
			changed[name] = want.Reveal()
		}
	}
	return changed
}

// Others returns c with what else data holds as its fields: strings as they
// are, anything else as its JSON, and nothing for null.
func (n Names) Others(c source.Credential, data map[string]any) source.Credential {
	others := make(map[string]source.Secret)
	for name, value := range data {
		if name == n.Username || name == n.Password || value == nil {
			continue
		}
		if text, ok := value.(string); ok {
			others[name] = source.NewSecret(text)
		} else if text, err := json.Marshal(value); err == nil {
			others[name] = source.NewSecret(string(text))
		}
	}
	if len(others) == 0 {
		return c
	}
	return c.WithFields(others)
}
