package pq

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/lib/pq"

	"github.com/rekey-go/rekey/pool"
)

// SQLSTATEs that matter.
const (
	insufficientRights = "42501" // at a login: no right to connect to the database
	undefinedObject    = "42704" // of session_user: it has been dropped
)

// Classify is [pool.ClassifyPostgres] for errors of lib/pq.
func Classify(err error) pool.Verdict {
	if code := state(err); code != "" {
		return pool.ClassifyPostgres(&pgconn.PgError{Code: code})
	}
	return pool.Unrelated
}

// state is the SQLSTATE of an error, or empty.
func state(err error) string {
	var e *pq.Error
	if errors.As(err, &e) {
		return string(e.Code)
	}
	return ""
}

// denied reports whether something was refused for lack of rights.
func denied(err error) bool { return err != nil && state(err) == insufficientRights }

// passing reports whether a failed check may succeed later with the same
// credential: everything but an answer of the server about the credential, its
// rights or the statement.
func passing(err error) bool {
	if code := state(err); len(code) >= 2 {
		switch code[:2] {
		case "08", "40", "53", "55", "57", "58": // connection, serialization, resources, locks, operator, system
			return true
		}
		return false
	}
	var network net.Error
	return errors.As(err, &network) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
