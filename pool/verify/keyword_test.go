package verify_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/pool/verify"
)

func TestKeyword(t *testing.T) {
	for sql, want := range map[string]string{
		"select 1":                          "select",
		" \t\r\n\f\v;;(( SELECT(1)":         "select",
		"-- commit\nend":                    "end",
		"-- commit\rend":                    "end",
		"--":                                "",
		"/* /* */ commit */ Insert--x":      "insert",
		"/**/values(1)":                     "values",
		"/* open":                           "",
		"/* /* */ select":                   "",
		"":                                  "",
		";":                                 "",
		"'x'":                               "'",
		"-1":                                "-",
		"*/ commit":                         "*",
		"commit;":                           "commit",
		"commit/**/and":                     "commit",
		"\u00a0commit":                      "\u00a0", // not a blank to the server
		"prepare\u00a0x":                    "prepare",
		"\xffcommit":                        "\ufffd",
		"drop":                              "drop",
		"end_of":                            "end_of",
		"with\tx as (select) select 'begin": "with",
	} {
		require.Equal(t, want, verify.Keyword(sql), "%q", sql)
	}
}

func TestBrief(t *testing.T) {
	for sql, want := range map[string]string{
		"select 1":                             "“select 1”",
		"-- x\n a\nb":                          "“a b”",
		"alter role x password 'secret'":       "“alter role x password…”",
		"alter role x password $$secret$$":     "“alter role x password…”",
		"alter role x password $a$secret$a$":   "“alter role x password…”",
		"update t set x = $1 where y = E'\\x'": "“update t set x = $1 where y = E…”",
		"select $":                             "“select…”",
		"":                                     "“”",
		strings.Repeat("ä", 70):                "“" + strings.Repeat("ä", 60) + "…”",
		"select \xff":                          "“select ?”",
	} {
		require.Equal(t, want, verify.Brief(sql), "%q", sql)
	}
}

func TestDrawn(t *testing.T) {
	for line, want := range map[string][]string{
		"nextval('a.b'::regclass), (nextval('\"C''s\"'::regclass) + 1)": {"a.b", `"C's"`},
		"nextval('a')":                            nil, // an identity column
		"'nextval(''a''::regclass)'::text":        nil,
		"nextval(('a'::text)::regclass)":          nil,
		`nextval('E\\x'::regclass)`:               nil,
		"nextval(''::regclass)":                   nil,
		"x_nextval('a'::regclass) nextval('a'::r": {"a"}, // harmless: it is a sequence or none
	} {
		require.Equal(t, want, verify.Drawn(line), line)
	}
}

// FuzzKeyword holds the lexer against the server's: what begins with a word
// that ends a transaction there, begins with it here.
func FuzzKeyword(f *testing.F) {
	for _, seed := range []string{
		"commit", ";;/* */ end", "--\rabort", "/*/**/*/rollback", "( commit", "\vend", "begin", "start transaction", "U&'x'", "end--", "-- \n\r\n;commit/*",
		"prepare x as select 1", "prepare transaction 'x'", "commit and chain", "-commit", "\ufeffcommit", "commit prepared 'x'", "rollback\vto x", "/ * commit",
	} {
		f.Add(seed)
	}
	server := pgtest.Server(f)
	conn, err := pgx.Connect(f.Context(), server.DSN())
	require.NoError(f, err)
	f.Cleanup(func() { conn.Close(f.Context()) })
	f.Fuzz(func(t *testing.T, sql string) {
		word := verify.Keyword(sql)
		require.Equal(t, strings.ToLower(word), word)
		require.LessOrEqual(t, utf8.RuneCountInString(verify.Brief(sql)), 63)
		require.NotContains(t, verify.Brief(sql), "'")
		if strings.ContainsRune(sql, 0) || !utf8.ValidString(sql) || len(sql) > 1000 {
			return // never reaches the server's parser
		}
		// Parsing alone runs nothing. In a failed transaction the server lets
		// only those through that end one.
		ctx := t.Context()
		_, err := conn.Exec(ctx, "begin")
		require.NoError(t, err)
		_, err = conn.Exec(ctx, "select 1/0")
		require.Error(t, err)
		_, err = conn.Prepare(ctx, "", sql)
		var pg *pgconn.PgError
		if err == nil && word != "" {
			require.Contains(t, []string{"commit", "end", "rollback", "abort", "prepare"}, word, "%q", sql)
		} else if err != nil {
			require.ErrorAs(t, err, &pg)
		}
		_, err = conn.Exec(ctx, "rollback")
		require.NoError(t, err)
	})
}

// FuzzDrawn only must not fail, and find what the server writes.
func FuzzDrawn(f *testing.F) {
	f.Add("nextval('a'::regclass)", "a")
	f.Add("nextval(''''::regclass)", `"x''y"`)
	f.Fuzz(func(t *testing.T, line, name string) {
		verify.Drawn(line)
		if name != "" && !strings.Contains(name, `\`) && utf8.ValidString(name) {
			require.Equal(t, []string{name}, verify.Drawn("nextval('"+strings.ReplaceAll(name, "'", "''")+"'::regclass)"))
		}
	})
}
