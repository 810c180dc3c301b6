package pool

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// parseError says what is wrong with a connection string without its text:
// pgx's own error carries the whole of it, and where it is malformed nobody can
// tell which part is the password.
func parseError(err error) error {
	const general = "pool: the connection string cannot be parsed"
	var parse *pgconn.ParseConfigError
	if !errors.As(err, &parse) {
		return errors.New(general)
	}
	// The reason stands after the text, with its cause in parentheses.
	reason, cause := parse.Error(), ""
	if inner := parse.Unwrap(); inner != nil {
		cause = " (" + inner.Error() + ")"
	}
	reason = strings.TrimSuffix(reason, cause)
	i := strings.LastIndex(reason, "`: ")
	if i < 0 {
		return errors.New(general)
	}
	reason = reason[i+len("`: "):]
	if !strings.HasPrefix(reason, "failed to parse") { // the cause of that quotes the text
		reason += cause
	}
	return errors.New(general + ": " + reason)
}
