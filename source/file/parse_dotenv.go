package file

import (
	"regexp"
	"strings"

	"github.com/rekey-go/rekey/source"
)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

func (s *Source) parseDotenv(data []byte) (source.Credential, error) {
	d := dotenv{text: string(trimBOM(data)), line: 1}
	values := make(map[string]string)
	for {
		name, value, problem := d.next()
		if problem == "" && name == "" {
			return s.credential(values)
		}
		if problem != "" {
			return source.Credential{}, &SyntaxError{s.path, d.began, problem}
		}
		if !s.isLogin(name) && strings.Contains(value, noValue) {
			return source.Credential{}, s.problem(name, d.began, isNoValue)
		}
		values[name] = value
	}
}

// A dotenv walks through the assignments of a text.
type dotenv struct {
	text  string // what is left
	line  int    // where that begins
	began int    // where the latest assignment begins
}

// next returns the next assignment, no name at the end of the text, or what is
// wrong with it.
func (d *dotenv) next() (name, value, problem string) {
	for d.text != "" {
		line, _, _ := strings.Cut(d.text, "\n")
		statement := strings.TrimLeft(line, " \t")
		if trimmed := strings.TrimSpace(statement); trimmed == "" || trimmed[0] == '#' {
			d.skip(len(line) + 1)
			continue
		}
		d.began = d.line
		before, _, found := strings.Cut(statement, "=")
		name = strings.TrimSpace(before)
		if rest, exported := strings.CutPrefix(name, "export"); exported && strings.TrimLeft(rest, " \t") != rest {
			name = strings.TrimLeft(rest, " \t")
		}
		if !found || !variableName.MatchString(name) {
			return "", "", "expected NAME=value"
		}
		d.skip(len(line) - len(statement) + len(before) + 1)
		value, problem = d.value()
		return name, value, problem
	}
	return "", "", ""
}

// value reads what is behind the equals sign, to the end of the line.
func (d *dotenv) value() (value, problem string) {
	blanks := len(d.text) - len(strings.TrimLeft(d.text, " \t"))
	d.skip(blanks)
	var closed bool
	switch {
	case strings.HasPrefix(d.text, "'"):
		value, closed = d.singleQuoted()
	case strings.HasPrefix(d.text, `"`):
		value, closed = d.doubleQuoted()
	default:
		return d.unquoted(blanks > 0), ""
	}
	if !closed {
		return "", "a quote is opened and not closed"
	}
	rest, _, _ := strings.Cut(d.text, "\n")
	if rest := strings.TrimSpace(rest); rest != "" && rest[0] != '#' {
		return "", "there is something behind the closing quote"
	}
	d.skip(len(rest) + 1)
	return value, ""
}

// unquoted reads to the end of the line or to a comment; blank says whether
// there is a blank before.
func (d *dotenv) unquoted(blank bool) string {
	line, _, _ := strings.Cut(d.text, "\n")
	d.skip(len(line) + 1)
	for i := range len(line) {
		if line[i] == '#' && blank {
			line = line[:i]
			break
		}
		blank = line[i] == ' ' || line[i] == '\t'
	}
	return strings.TrimRight(line, " \t\r")
}

func (d *dotenv) singleQuoted() (value string, closed bool) {
	value, _, closed = strings.Cut(d.text[1:], "'")
	d.skip(1 + len(value) + 1)
	return value, closed
}

func (d *dotenv) doubleQuoted() (value string, closed bool) {
	var b strings.Builder
	for i := 1; i < len(d.text); i++ {
		switch c := d.text[i]; {
		case c == '"':
			d.skip(i + 1)
			return b.String(), true
		case c == '\\' && i+1 < len(d.text):
			i++
			b.WriteString(unescape(d.text[i]))
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

// unescape returns what a backslash and c stand for within double quotes.
func unescape(c byte) string {
	switch c {
	case 'n':
		return "\n"
	case 'r':
		return "\r"
	case 't':
		return "\t"
	case '"', '\\', '$', '`':
		return string(c)
	}
	return `\` + string([]byte{c})
}

// skip drops the first n bytes, or all if there are fewer.
func (d *dotenv) skip(n int) {
	n = min(n, len(d.text))
	d.line += strings.Count(d.text[:n], "\n")
	d.text = d.text[n:]
}
