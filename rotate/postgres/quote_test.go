package postgres_test

import (
	"context"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/rotate/postgres"
	"github.com/rekey-go/rekey/source"
)

var odd = []string{
	"plain", "Upper", "select", "it's", "''", `back\slash`, `\`, `\\`, `\'; drop role x --`, `"double"`, `"`, "tab\tline\n\r", "grün €", "😀",
	`E'\\'`, "$$", "$1", "U&\"x\"", "/*", "--", "\x01", "\u2028", "a\u0300", strings.Repeat(`"`, 63), strings.Repeat("ü", 31),
}

// sessions are two, one for each value of standard_conforming_strings, with
// backslash_quote turned off, which forbids \' in strings.
func sessions(t testing.TB) (all []*pgx.Conn) {
	t.Helper()
	for _, standard := range []string{"on", "off"} {
		config, err := pgx.ParseConfig(pgtest.Server(t).DSN())
		require.NoError(t, err)
		config.RuntimeParams["standard_conforming_strings"] = standard
		config.RuntimeParams["backslash_quote"] = "off"
		config.RuntimeParams["escape_string_warning"] = "off"
		conn, err := pgx.ConnectConfig(t.Context(), config)
		require.NoError(t, err)
		require.Equal(t, standard, conn.PgConn().ParameterStatus("standard_conforming_strings"))
		t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) })
		all = append(all, conn)
	}
	return all
}

// column runs a statement without parameters and returns its only value and that
// one's name. Not by pgx.Conn, which wants standard_conforming_strings on.
func column(t testing.TB, conn *pgx.Conn, sql string) (name, value string) {
	t.Helper()
	r := conn.PgConn().ExecParams(t.Context(), sql, nil, nil, nil, nil).Read()
	require.NoError(t, r.Err, "%q", sql)
	require.Len(t, r.Rows, 1)
	require.Len(t, r.Rows[0], 1)
	return r.FieldDescriptions[0].Name, string(r.Rows[0][0])
}

// roundTrip has a server read a literal and an identifier of the text.
func roundTrip(t testing.TB, conns []*pgx.Conn, text string) {
	t.Helper()
	literal, err := postgres.Literal(text)
	if err != nil {
		require.ErrorAs(t, err, new(*postgres.QuoteError))
		require.True(t, strings.Contains(text, "\x00") || !utf8.ValidString(text))
		_, err := postgres.Ident(text)
		require.ErrorAs(t, err, new(*postgres.QuoteError))
		return
	}
	ident, err := postgres.Ident(text)
	if err != nil {
		require.ErrorAs(t, err, new(*postgres.QuoteError))
		require.True(t, text == "" || len(text) > 63)
		ident = `"x"`
	}
	for _, conn := range conns {
		name, value := column(t, conn, "select"+literal+"::text as "+ident)
		require.Equal(t, text, value)
		if ident == `"x"` {
			continue
		}
		require.Equal(t, text, name)
		_, theirs := column(t, conn, "select quote_ident("+literal+")")
		if theirs[0] != '"' { // it quotes only what needs to be
			theirs = `"` + theirs + `"`
		}
		require.Equal(t, theirs, ident)
	}
}

func TestQuotedTextsSurviveTheServer(t *testing.T) {
	conns := sessions(t)
	for _, text := range odd {
		_, err := postgres.Ident(text)
		require.NoError(t, err)
		roundTrip(t, conns, text)
	}
	roundTrip(t, conns, "")
	roundTrip(t, conns, strings.Repeat(`\'`, 5000))
}

func FuzzQuote(f *testing.F) {
	conns := sessions(f)
	for _, text := range odd {
		f.Add(text)
	}
	f.Add("nul\x00")
	f.Add("bad \xff")
	f.Add(strings.Repeat("x", 64))
	f.Fuzz(func(t *testing.T, text string) { roundTrip(t, conns, text) })
}

// Roles with any name can be made, be given any password and log in.
func TestRolesOfOddNames(t *testing.T) {
	for _, name := range []string{`o'neil "x" \`, "--", "/*", "grün €", `"; drop database postgres; --`} {
		r := newRole(t, name)
		require.Equal(t, 1, strings.Count(r.set(t, source.NewSecret(name)).Reveal(), "SCRAM-"))
		require.NoError(t, r.login(t, name))
	}
}

func TestTextsThatCannotBeQuoted(t *testing.T) {
	for text, problem := range map[string]string{
		"nul\x00here":            "NUL (byte 4)",
		"bad \xff":               "UTF-8",
		"half \xc3":              "UTF-8",
		"surrogate \xed\xa0\x80": "UTF-8",
	} {
		for what, quote := range map[string]func(string) (string, error){"identifier": postgres.Ident, "string": postgres.Literal} {
			quoted, err := quote(text)
			var refused *postgres.QuoteError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, what, refused.What)
			require.Contains(t, err.Error(), problem)
			require.NotContains(t, err.Error(), text)
			require.Empty(t, quoted)
		}
	}
	for _, name := range []string{"", strings.Repeat("x", 64), strings.Repeat("ü", 32)} {
		_, err := postgres.Ident(name)
		require.ErrorAs(t, err, new(*postgres.QuoteError))
	}
}

// The server says nothing when it cuts a name off.
func TestLongNamesAreCutOffByTheServer(t *testing.T) {
	conns := sessions(t)
	name, _ := column(t, conns[0], `select 1 as "`+strings.Repeat("x", 64)+`"`)
	require.Len(t, name, 63)
}
