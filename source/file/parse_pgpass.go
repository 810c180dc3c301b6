package file

import (
	"fmt"
	"strings"

	"github.com/rekey-go/rekey/source"
)

// A Match says which line of a PostgreSQL password file to take. An empty
// field accepts whatever the line says; a * in the line fits everything.
type Match struct {
	Host     string // as in the connection string: a name, an address or a socket directory
	Port     string // in digits
	Database string // its name
	User     string // empty: the user name is the line's
}

// pgpassColumns name the columns of a line before the password.
var pgpassColumns = [...]string{"host", "port", "database", "username"}

func (s *Source) parsePgpass(data []byte, match Match) (source.Credential, error) {
	wants := [...]string{match.Host, match.Port, match.Database, match.User}
	for line := range strings.Lines(string(trimBOM(data))) {
		line = trimLineBreak(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		columns := pgpassSplit(line)
		if len(columns) <= len(wants) {
			continue // libpq skips such lines too
		}
		if fits(columns, wants[:]) {
			return s.pgpassCredential(columns, match)
		}
	}
	return source.Credential{}, fmt.Errorf("%s: %w", s.path, ErrNoMatch)
}

func (s *Source) pgpassCredential(columns []pgpassColumn, match Match) (source.Credential, error) {
	c := source.Credential{Username: match.User, Password: source.NewSecret(columns[len(pgpassColumns)].text)}
	fields := make(map[string]source.Secret)
	for i, name := range pgpassColumns {
		switch {
		case columns[i].wild:
		case name == "username":
			c.Username = columns[i].text
		default:
			fields[name] = source.NewSecret(columns[i].text)
		}
	}
	if err := s.check(c, "username", "password"); err != nil {
		return source.Credential{}, err
	}
	return c.WithFields(fields), nil
}

// A pgpassColumn is one column without its escapes.
type pgpassColumn struct {
	text string
	wild bool // an unescaped *
}

func fits(columns []pgpassColumn, wants []string) bool {
	for i, want := range wants {
		if want != "" && !columns[i].wild && columns[i].text != want {
			return false
		}
	}
	return true
}

// pgpassSplit splits a line at its colons. A backslash takes the next byte
// literally.
func pgpassSplit(line string) []pgpassColumn {
	var columns []pgpassColumn
	var text strings.Builder
	start := 0
	end := func(i int) {
		columns = append(columns, pgpassColumn{text.String(), line[start:i] == "*"})
		text.Reset()
		start = i + 1
	}
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == ':':
			end(i)
		case line[i] == '\\' && i+1 < len(line):
			i++
			text.WriteByte(line[i])
		default:
			text.WriteByte(line[i])
		}
	}
	end(len(line))
	return columns
}
