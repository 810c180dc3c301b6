package postgres

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// longestName is the longest identifier of a server as it is usually built. It
// cuts longer ones off without an error, and two names become one.
const longestName = 63

// Ident writes a name so that SQL takes it for an identifier, whatever is in it.
// A name that no identifier can have is a [*QuoteError]: empty, longer than 63
// bytes, with a NUL, or not UTF-8.
func Ident(name string) (string, error) {
	switch {
	case name == "":
		return "", &QuoteError{"identifier", "is empty"}
	case len(name) > longestName:
		return "", &QuoteError{"identifier", fmt.Sprintf("has %d bytes, and PostgreSQL would cut it off after %d", len(name), longestName)}
	}
	if err := check("identifier", name); err != nil {
		return "", err
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`, nil
}

// Literal writes a text so that SQL takes it for a string constant, whatever is
// in it and whatever standard_conforming_strings and backslash_quote say. What no
// constant can have is a [*QuoteError]: a NUL, or what is not UTF-8.
//
// As all quoting it depends on the client encoding: UTF8, or what the database
// has, which is the default. Those that only clients can have (BIG5, GBK, GB18030,
// JOHAB, SJIS, UHC) hide a backslash in other characters; do not use them.
func Literal(text string) (string, error) {
	if err := check("string", text); err != nil {
		return "", err
	}
	quoted := "'" + strings.ReplaceAll(text, "'", "''") + "'"
	if strings.Contains(text, `\`) {
		// The blank keeps the E apart from a word in front.
		return " E" + strings.ReplaceAll(quoted, `\`, `\\`), nil
	}
	return quoted, nil
}

func check(what, text string) error {
	if i := strings.IndexByte(text, 0); i >= 0 {
		return &QuoteError{what, fmt.Sprintf("has a NUL (byte %d), which PostgreSQL cannot store", i+1)}
	}
	if !utf8.ValidString(text) {
		return &QuoteError{what, "is not valid UTF-8"}
	}
	return nil
}
