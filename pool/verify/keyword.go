package verify

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// start returns a statement from its first word on, without what may stand in
// front: blanks, comments, semicolons, brackets.
func start(sql string) string {
	for sql != "" {
		switch {
		case strings.HasPrefix(sql, "--"):
			end := strings.IndexAny(sql, "\r\n")
			if end < 0 {
				return ""
			}
			sql = sql[end:]
		case strings.HasPrefix(sql, "/*"):
			sql = skipComment(sql)
		case strings.IndexByte(" \t\r\n\f\v;(", sql[0]) >= 0:
			sql = sql[1:]
		default:
			return sql
		}
	}
	return ""
}

// skipComment returns what follows the comment that sql begins with. They nest.
func skipComment(sql string) string {
	for depth := 0; sql != ""; {
		switch {
		case strings.HasPrefix(sql, "/*"):
			depth, sql = depth+1, sql[2:]
		case strings.HasPrefix(sql, "*/"):
			depth, sql = depth-1, sql[2:]
			if depth == 0 {
				return sql
			}
		default:
			sql = sql[1:]
		}
	}
	return ""
}

// keyword returns the first word of a statement in lower case, or its first
// character if that begins no word. Empty: there is no statement.
func keyword(sql string) string {
	sql = start(sql)
	end := strings.IndexFunc(sql, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '_' })
	if end == 0 {
		_, end = utf8.DecodeRuneInString(sql)
	}
	if end < 0 {
		end = len(sql)
	}
	return strings.ToLower(sql[:end])
}

// literals begins what may be a secret: a text constant, in any of its forms.
var literals = regexp.MustCompile(`'|\$[^0-9]|\$$`)

// brief is the beginning of a statement, to be known by: one line of at most 60
// characters without what may be a secret.
func brief(sql string) string {
	sql = start(sql)
	cut := false
	if at := literals.FindStringIndex(sql); at != nil {
		sql, cut = sql[:at[0]], true
	}
	line := []rune(strings.Join(strings.Fields(strings.ToValidUTF8(sql, "?")), " "))
	if len(line) > 60 {
		line, cut = line[:60], true
	}
	if cut {
		return "“" + string(line) + "…”"
	}
	return "“" + string(line) + "”"
}
