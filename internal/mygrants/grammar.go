package mygrants

import "strings"

// split cuts a line of SHOW GRANTS into words: names with their quotes and
// dots, columns in parentheses as one word, and commas.
func split(line string) (words []string) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		n := word(line)
		words = append(words, line[:n])
		line = line[n:]
	}
	return words
}

// word is the length of the word that line begins with.
func word(line string) int {
	if line[0] == ',' {
		return 1
	}
	depth := 0
	for i := 0; i < len(line); {
		switch line[i] {
		case '`', '\'', '"':
			i += quoted(line[i:])
			continue
		case '(':
			if depth == 0 && i > 0 {
				return i
			}
			depth++
		case ')':
			if depth--; depth <= 0 {
				return i + 1
			}
		case ' ', ',':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return len(line)
}

// quoted is the length of the quoted text that s begins with, or that of s
// where it has no end or begins otherwise. Quotes inside are doubled or, in
// hashes, follow a backslash.
func quoted(s string) int {
	mark := s[0]
	if mark != '`' && mark != '\'' && mark != '"' {
		if dot := strings.IndexByte(s, '.'); dot > 0 {
			return dot
		}
		return len(s)
	}
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && mark != '`':
			i++
		case s[i] == mark && i+1 < len(s) && s[i+1] == mark:
			i++
		case s[i] == mark:
			return i + 1
		}
	}
	return len(s)
}

func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func unquote(name string) string {
	if len(name) < 2 || name[0] != '`' && name[0] != '"' {
		return name
	}
	mark := name[:1]
	return strings.ReplaceAll(name[1:len(name)-1], mark+mark, mark)
}

// like is SQL's LIKE: % for any text, _ for any character, \ before either.
func like(pattern, text string) bool {
	for pattern != "" {
		switch c := pattern[0]; {
		case c == '%':
			for i := 0; i <= len(text); i++ {
				if like(pattern[1:], text[i:]) {
					return true
				}
			}
			return false
		case c == '_':
			if text == "" {
				return false
			}
			pattern, text = pattern[1:], text[len(string([]rune(text)[:1])):]
			continue
		case c == '\\' && len(pattern) > 1:
			pattern = pattern[1:]
		}
		if text == "" || pattern[0] != text[0] {
			return false
		}
		pattern, text = pattern[1:], text[1:]
	}
	return text == ""
}
