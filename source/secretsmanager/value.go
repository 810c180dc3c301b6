package secretsmanager

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/rekey-go/rekey/source"
)

// parse makes a credential of the value of the version that carries label.
func (s *Source) parse(label string, value source.Secret) (source.Credential, error) {
	text := value.Reveal()
	switch {
	case text == "":
		return source.Credential{}, s.unreadable(label, "it is empty")
	case s.opts.Parse != nil:
		return s.parsed(label, []byte(text))
	}
	data, problem := object(text)
	if problem != "" {
		return source.Credential{}, s.unreadable(label, problem)
	}
	names := s.opts.names()
	c, err := names.Login(s.where(label), data)
	if err != nil {
		return source.Credential{}, err
	}
	return names.Others(c, data), nil
}

// parsed holds what the user's own parser returns against the rules.
func (s *Source) parsed(label string, value []byte) (source.Credential, error) {
	c, err := s.opts.Parse(value)
	if err != nil {
		return source.Credential{}, source.Permanent(fmt.Errorf("%s: %w", s.where(label), err))
	}
	names := s.opts.names()
	_, err = names.Login(s.where(label), map[string]any{names.Username: c.Username, names.Password: c.Password.Reveal()})
	if err != nil {
		return source.Credential{}, err
	}
	return c, nil
}

// object reads a JSON object, or says what is wrong with it without a word of
// what it holds.
func object(text string) (data map[string]any, problem string) {
	if !utf8.ValidString(text) {
		// The decoder would replace what it cannot read without a word.
		return nil, "it is not valid UTF-8; see Options.Parse for other than JSON"
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(strings.TrimPrefix(text, "\ufeff"))))
	dec.UseNumber()
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, "it is not a JSON object; see Options.Parse for other than JSON"
	}
	data = make(map[string]any)
	for dec.More() {
		token, err := dec.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, "its JSON is broken"
		}
		if _, twice := data[name]; twice {
			return nil, "one of its JSON keys is there twice"
		}
		var value any
		if err := dec.Decode(&value); err != nil {
			return nil, "its JSON is broken"
		}
		data[name] = value
	}
	if end, err := dec.Token(); err != nil || end != json.Delim('}') {
		return nil, "its JSON object does not end"
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, "there is something behind its JSON object"
	}
	return data, ""
}

func (s *Source) where(label string) string { return "secretsmanager: " + s.id + " " + label }

// unreadable says that the value of the version with this label is of no use.
func (s *Source) unreadable(label, problem string) error {
	return source.Permanent(&Error{Op: "GetSecretValue", SecretID: s.id, Stage: label, Kind: Unreadable, Detail: problem})
}
