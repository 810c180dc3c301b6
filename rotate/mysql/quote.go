package mysql

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	longestName = 64  // characters of an identifier
	longestHost = 255 // characters
)

// Ident writes a name so that SQL takes it for an identifier, whatever is in it
// and whatever the session's sql_mode is. In GRANT … ON `name`.* the servers take
// _ and % in the name of a database for wildcards all the same.
//
// A name that no identifier can have is a [*QuoteError]: empty, longer than 64
// characters, ending in white space, with a NUL or a character beyond U+FFFF, or not
// UTF-8.
func Ident(name string) (string, error) {
	if err := check("identifier", name, false); err != nil {
		return "", err
	}
	switch n := utf8.RuneCountInString(name); {
	case n == 0:
		return "", &QuoteError{"identifier", "is empty"}
	case n > longestName:
		return "", &QuoteError{"identifier", fmt.Sprintf("has %d characters; at most %d are allowed", n, longestName)}
	case strings.TrimRight(name, " \t\n\v\f\r") != name:
		return "", &QuoteError{"identifier", "ends in a blank, a tab or an end of line"}
	}
	return backticks(name), nil
}

// Account writes the name of an account, `user`@`host`, whatever is in it and
// whatever the session's sql_mode is. The host is an address, a name, or a
// pattern with % and _; "%" is any.
//
// What the servers would refuse or change is a [*QuoteError]: a user name that is
// empty, starts or ends in white space, has a NUL or a character beyond U+FFFF (MySQL
// stores a question mark for it), or is not UTF-8; a host with other characters
// than ASCII letters, digits and . : - _ % /. How long a user name may be is for
// the server to say: 32 characters in MySQL, 128 in MariaDB.
func Account(user, host string) (string, error) {
	if err := check("user name", user, false); err != nil {
		return "", err
	}
	const hostCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:-_%/"
	switch {
	case user == "":
		return "", &QuoteError{"user name", "is empty, which is everybody"}
	case strings.TrimSpace(user) != user:
		return "", &QuoteError{"user name", "starts or ends in white space, which servers may take off"}
	case host == "":
		return "", &QuoteError{"host name", "is empty; for any host it should be %"}
	case len(host) > longestHost:
		return "", &QuoteError{"host name", fmt.Sprintf("has %d characters; at most %d are allowed", len(host), longestHost)}
	case strings.Trim(host, hostCharacters) != "":
		return "", &QuoteError{"host name", "has other characters than letters, digits and . : - _ % /"}
	}
	return backticks(user) + "@" + backticks(host), nil
}

// Literal writes a text so that SQL takes it for a string constant, whatever is in
// it. SQLMode is that of the session, as SELECT @@sql_mode says it; it matters
// whether NO_BACKSLASH_ESCAPES is in it, ANSI_QUOTES does not. Read it on the very
// connection and do not change it in between.
//
// What cannot be written is a [*QuoteError]: a NUL, or what is not UTF-8. As all
// quoting it depends on the character set of the connection, which must be
// utf8mb4, the default of go-sql-driver/mysql.
func Literal(text, sqlMode string) (string, error) {
	if err := check("string", text, true); err != nil {
		return "", err
	}
	text = strings.ReplaceAll(text, "'", "''")
	if !noBackslashEscapes(sqlMode) {
		text = strings.ReplaceAll(text, `\`, `\\`)
	}
	return "'" + text + "'", nil
}

func noBackslashEscapes(sqlMode string) bool {
	for mode := range strings.SplitSeq(sqlMode, ",") {
		if strings.EqualFold(strings.TrimSpace(mode), "NO_BACKSLASH_ESCAPES") {
			return true
		}
	}
	return false
}

// backticks quote in every sql_mode, with no other escape than their own.
func backticks(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// check refuses what no text can have and, unless all characters are allowed, what
// no name can have: the servers keep names in three bytes a character.
func check(what, text string, all bool) error {
	if !utf8.ValidString(text) {
		return &QuoteError{what, "is not valid UTF-8"}
	}
	at := 0
	for _, c := range text {
		at++
		switch {
		case c == 0:
			return &QuoteError{what, fmt.Sprintf("has a NUL (character %d)", at)}
		case c > 0xffff && !all:
			return &QuoteError{what, fmt.Sprintf("has a character beyond U+FFFF (character %d), which names cannot have", at)}
		}
	}
	return nil
}
