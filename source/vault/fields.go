package vault

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/rekey-go/rekey/source"
)

// login reads user name and password from what an answer holds.
func (o *Options) login(path string, data map[string]any) (c source.Credential, err error) {
	if data == nil {
		return c, &source.FieldError{Where: "vault: " + path, Field: "data", Problem: "is missing from the answer"}
	}
	field := func(name, what string, optional bool) (string, error) {
		wrong := func(problem string) error {
			return &source.FieldError{Where: "vault: " + path, Field: name, Problem: problem}
		}
		switch value := data[name].(type) {
		case nil:
			if optional {
				return "", nil
			}
			return "", wrong("is missing; it should hold the " + what)
		case string:
			switch {
			case value == "" && !optional:
				return "", wrong("is empty; it should hold the " + what)
			case strings.ContainsRune(value, 0):
				return "", wrong("contains a NUL byte")
			case !utf8.ValidString(value):
				return "", wrong("is not valid UTF-8")
			}
			return value, nil
		default:
			return "", wrong("is not a string; it should hold the " + what)
		}
	}
	if c.Username, err = field(o.UsernameField, "user name", o.AllowNoUsername); err != nil {
		return source.Credential{}, err
	}
	password, err := field(o.PasswordField, "password", false)
	if err != nil {
		return source.Credential{}, err
	}
	c.Password = source.NewSecret(password)
	return c, nil
}

// others adds what else data holds to c: strings as they are, anything else as
// its JSON.
func (o *Options) others(c source.Credential, data map[string]any) source.Credential {
	fields := make(map[string]source.Secret)
	for name, value := range data {
		if name == o.UsernameField || name == o.PasswordField || value == nil {
			continue
		}
		if text, ok := value.(string); ok {
			fields[name] = source.NewSecret(text)
		} else if text, err := json.Marshal(value); err == nil {
			fields[name] = source.NewSecret(string(text))
		}
	}
	if len(fields) == 0 {
		return c
	}
	return c.WithFields(fields)
}

// cleanPath takes the slashes off that people write around paths.
func cleanPath(path string) (string, error) {
	clean := strings.Trim(path, "/")
	switch {
	case clean == "":
		return "", source.Permanent(fmt.Errorf("vault: the path %q is empty", path))
	case strings.ContainsAny(clean, "?#\x00"), strings.Contains("/"+clean+"/", "/../"), strings.Contains("/"+clean+"/", "/./"), strings.Contains(clean, "//"):
		return "", source.Permanent(fmt.Errorf("vault: the path %q cannot be one of Vault's", path))
	}
	return clean, nil
}
