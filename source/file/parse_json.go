package file

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/rekey-go/rekey/source"
)

func (s *Source) parseJSON(data []byte) (source.Credential, error) {
	data = trimBOM(data)
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	line := func() int { return lineAt(data, int(dec.InputOffset())) }
	// The decoder's own errors quote what they stumble over.
	broken := func(problem string) (source.Credential, error) {
		return source.Credential{}, &SyntaxError{s.path, line(), problem}
	}

	if !utf8.Valid(data) {
		// The decoder would replace what it cannot read without a word.
		return broken("the file is not valid UTF-8")
	}
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return broken("expected a JSON object")
	}
	values := make(map[string]string)
	for dec.More() {
		token, err := dec.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return broken("expected a key in double quotes")
		}
		token, err = dec.Token()
		if err != nil {
			return broken("expected a JSON value")
		}
		value, problem := s.jsonText(name, token)
		if _, twice := values[name]; twice {
			problem = "is there twice"
		}
		if problem != "" {
			return source.Credential{}, s.problem(name, line(), problem)
		}
		values[name] = value
	}
	if end, err := dec.Token(); err != nil || end != json.Delim('}') {
		return broken("the JSON object does not end")
	}
	if _, err := dec.Token(); err != io.EOF {
		return broken("there is something behind the JSON object")
	}
	return s.credential(values)
}

// jsonText returns the text of one value, or what is wrong with it.
func (s *Source) jsonText(name string, token json.Token) (text, problem string) {
	switch value := token.(type) {
	case string:
		if !s.isLogin(name) && strings.Contains(value, noValue) {
			return "", isNoValue
		}
		return value, ""
	case json.Number:
		text = value.String()
	case bool:
		text = "false"
		if value {
			text = "true"
		}
	default:
		return "", "is not a string; null, arrays and objects are refused"
	}
	if s.isLogin(name) {
		return "", "is not a string; put it in double quotes"
	}
	return text, ""
}
