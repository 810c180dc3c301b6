package pgserver

import (
	"strings"

	"github.com/jackc/pgx/v5"
)

// QuoteIdent writes a name so that SQL takes it for an identifier, whatever it holds.
func QuoteIdent(name string) string { return pgx.Identifier{name}.Sanitize() }

// QuoteLiteral writes a text so that SQL takes it for a string constant,
// whatever standard_conforming_strings says. PostgreSQL has no way to write a
// NUL; a statement with one is refused.
func QuoteLiteral(text string) string {
	quoted := "'" + strings.ReplaceAll(text, "'", "''") + "'"
	if strings.Contains(quoted, `\`) {
		return " E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}
