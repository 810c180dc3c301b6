package mysql_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/mysqlserver"
	"github.com/rekey-go/rekey/rotate/mysql"
)

var modes = []string{"STRICT_ALL_TABLES", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "NO_BACKSLASH_ESCAPES,ANSI_QUOTES,PIPES_AS_CONCAT"}

var odd = []string{
	"plain", "select", "it's", "''", `back\slash`, `\`, `\\`, `\'; drop user x -- `, `"double"`, "`", "``; --", "tab\tline\n\rx", "grün €", "😀",
	"$$", "?", "/*", "-- ", "#", "\x01", "\x1a", "%", "_", "a@b", "\u2028", "a\u0300", " lead", "trail ",
	strings.Repeat("`", 64), strings.Repeat("ü", 64), strings.Repeat("x", 33),
}

// sessions are one for each product and sql_mode.
func sessions(t testing.TB) (all []session) {
	t.Helper()
	for _, product := range products {
		for _, mode := range modes {
			all = append(all, newSession(t, product, mode))
		}
	}
	return all
}

// roundTrip has a server read a literal and, as the name of a column, an
// identifier of the text.
func roundTrip(t testing.TB, s session, text string) {
	t.Helper()
	literal, err := mysql.Literal(text, s.mode)
	if err != nil {
		require.ErrorAs(t, err, new(*mysql.QuoteError))
		require.True(t, strings.Contains(text, "\x00") || !utf8.ValidString(text))
		_, err := mysql.Ident(text)
		require.ErrorAs(t, err, new(*mysql.QuoteError))
		return
	}
	var got string
	require.NoError(t, s.QueryRowContext(t.Context(), "select "+literal).Scan(&got), "%s %s %q", s.product, s.mode, text)
	require.Equal(t, text, got, "%s %s", s.product, s.mode)

	ident, err := mysql.Ident(text)
	if err != nil {
		require.ErrorAs(t, err, new(*mysql.QuoteError))
		return
	}
	s.exec(t, "create temporary table rekey_quote.t ("+ident+" int)")
	defer s.exec(t, "drop temporary table rekey_quote.t")
	rows, err := s.QueryContext(t.Context(), "select * from rekey_quote.t")
	require.NoError(t, err)
	names, err := rows.Columns()
	require.NoError(t, errors.Join(err, rows.Close()))
	require.Equal(t, []string{text}, names, "%s %s", s.product, s.mode)
}

func makeDatabase(t testing.TB, all []session) {
	t.Helper()
	for _, s := range all {
		s.exec(t, "create database if not exists rekey_quote")
	}
	t.Cleanup(func() {
		for _, s := range all {
			_, err := s.ExecContext(context.Background(), "drop database if exists rekey_quote")
			require.NoError(t, err)
		}
	})
}

func TestQuotedTextsSurviveTheServers(t *testing.T) {
	all := sessions(t)
	makeDatabase(t, all)
	for _, s := range all {
		for _, text := range append(odd, "", strings.Repeat(`\'`, 5000)) {
			roundTrip(t, s, text)
		}
	}
}

func FuzzQuote(f *testing.F) {
	all := sessions(f)
	makeDatabase(f, all)
	for _, text := range append(odd, "nul\x00", "bad \xff", strings.Repeat("x", 65)) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range all {
			roundTrip(t, s, text)
		}
	})
}

// account makes a user and looks up what has become of its name.
func account(t testing.TB, s session, user, host string) {
	t.Helper()
	quoted, err := mysql.Account(user, host)
	if err != nil {
		require.ErrorAs(t, err, new(*mysql.QuoteError))
		return
	}
	_, err = s.ExecContext(t.Context(), "create user "+quoted)
	if err != nil {
		var e *driver.MySQLError
		require.ErrorAs(t, err, &e)
		const tooLong, cannotUser = 1470, 1396
		require.Contains(t, []uint16{tooLong, cannotUser}, e.Number, "%q: %v", quoted, err)
		require.True(t, e.Number == cannotUser || utf8.RuneCountInString(user) > 32 || len(host) > 60, "%q: %v", quoted, err)
		return
	}
	defer s.exec(t, "drop user "+quoted)
	var n int
	require.NoError(t, s.QueryRowContext(t.Context(),
		"select count(*) from mysql.user where cast(user as binary) = cast(? as binary) and cast(host as binary) = cast(? as binary)",
		user, strings.ToLower(host)).Scan(&n))
	require.Equal(t, 1, n, "%s %s", s.product, quoted)
}

func TestAccountsOfOddNames(t *testing.T) {
	for _, s := range sessions(t) {
		for _, user := range odd {
			for _, host := range []string{"%", "localhost", "LocalHost", "10.0.0.%", "10.0.0.0/255.0.0.0", "::1", "db-1.example.com"} {
				account(t, s, user, host)
			}
		}
	}
}

func FuzzAccount(f *testing.F) {
	all := []session{newSession(f, mysqlserver.MariaDB, modes[0]), newSession(f, mysqlserver.MySQL, modes[0])}
	for _, user := range odd {
		f.Add(user, "%")
	}
	f.Add("app", "10.0.0.0/255.0.0.0")
	f.Fuzz(func(t *testing.T, user, host string) {
		for _, s := range all {
			account(t, s, user, host)
		}
	})
}

func TestTextsThatCannotBeQuoted(t *testing.T) {
	ident := func(text string) (string, error) { return mysql.Ident(text) }
	literal := func(text string) (string, error) { return mysql.Literal(text, "") }
	user := func(text string) (string, error) { return mysql.Account(text, "%") }
	host := func(text string) (string, error) { return mysql.Account("app", text) }
	for _, test := range []struct {
		quote func(string) (string, error)
		what  string
		texts []string
	}{
		{ident, "identifier", []string{"", "nul\x00", "bad \xff", "😀", "trail ", "line\n", strings.Repeat("x", 65)}},
		{literal, "string", []string{"nul\x00", "bad \xff"}},
		{user, "user name", []string{"", "nul\x00", "bad \xff", "😀", " lead", "trail ", "line\n"}},
		{host, "host name", []string{"", "nul\x00", "bad \xff", "ü", "a b", "it's", "a`b", "a@b", strings.Repeat("x", 256)}},
	} {
		for _, text := range test.texts {
			quoted, err := test.quote(text)
			var refused *mysql.QuoteError
			require.ErrorAs(t, err, &refused, "%s %q", test.what, text)
			require.Equal(t, test.what, refused.What)
			require.Empty(t, quoted)
		}
	}
}

// Why characters beyond U+FFFF are refused.
func TestMySQLStoresAQuestionMark(t *testing.T) {
	s := newSession(t, mysqlserver.MySQL, modes[0])
	s.exec(t, "create user `odd😀`")
	defer s.exec(t, "drop user `odd?`")
	var n int
	require.NoError(t, s.QueryRowContext(t.Context(), "select count(*) from mysql.user where user = 'odd?'").Scan(&n))
	require.Equal(t, 1, n)
}

func TestLiteralReadsTheMode(t *testing.T) {
	for mode, want := range map[string]string{
		"": `'\\'`, "ANSI_QUOTES": `'\\'`, "STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES": `'\'`, "no_backslash_escapes": `'\'`, "X_NO_BACKSLASH_ESCAPES": `'\\'`,
	} {
		got, err := mysql.Literal(`\`, mode)
		require.NoError(t, err)
		require.Equal(t, want, got, mode)
	}
}
