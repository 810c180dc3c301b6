package pgserver_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
)

func TestQuoteSurvivesTheServer(t *testing.T) {
	s := pgtest.Server(t)
	for _, text := range []string{"", "plain", "it's", `back\slash`, `\'; drop table x --`, `"double"`, "tab\tline\n", "grün €", `E'\\'`, "$$"} {
		for _, standard := range []string{"on", "off"} {
			var got string
			err := s.Do(t.Context(), func(conn *pgx.Conn) error {
				if _, err := conn.Exec(t.Context(), "set standard_conforming_strings = "+standard); err != nil {
					return err
				}
				defer func() { _, _ = conn.Exec(t.Context(), "reset standard_conforming_strings") }()
				// PgConn: pgx itself refuses the simple protocol with "off".
				r := conn.PgConn().ExecParams(t.Context(), "select "+pgserver.QuoteLiteral(text)+"::text as "+
					pgserver.QuoteIdent("a"+text), nil, nil, nil, nil).Read()
				if r.Err != nil {
					return r.Err
				}
				require.Equal(t, "a"+text, r.FieldDescriptions[0].Name)
				got = string(r.Rows[0][0])
				return nil
			})
			require.NoError(t, err, "%q with standard_conforming_strings %s", text, standard)
			require.Equal(t, text, got)
		}
	}
}
