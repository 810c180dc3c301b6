package pool

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// A Verdict says what an error of a login means for the credential.
type Verdict int

const (
	// Unrelated means that the error says nothing about the credential, such
	// as a network failure or a server without free connections.
	Unrelated Verdict = iota
	// Rejected means that the database does not accept the credential.
	Rejected
)

// SQLSTATEs that matter at a login.
const (
	invalidPassword      = "28P01" // wrong password, unknown or expired role
	invalidAuthorization = "28000" // role may not log in, or no pg_hba line for it
	unknownDatabase      = "3D000"
	insufficientRights   = "42501" // at a login: no right to connect to the database
)

// ClassifyPostgres is the rule for a PostgreSQL server that is reached
// directly: SQLSTATE 28P01 and 28000 are rejections. Wrapped and joined errors
// are looked through; texts are not.
func ClassifyPostgres(err error) Verdict {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (pg.Code == invalidPassword || pg.Code == invalidAuthorization) {
		return Rejected
	}
	return Unrelated
}

// passing reports whether a failed verification may succeed later with the
// same credential: everything but an answer of the server about the
// credential, its rights or the statement.
func passing(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || len(pg.Code) < 2 {
		var network interface{ Timeout() bool }
		var connect *pgconn.ConnectError
		return errors.As(err, &network) || errors.As(err, &connect) || pgconn.Timeout(err) || pgconn.SafeToRetry(err)
	}
	switch pg.Code[:2] {
	case "08", // connection
		"3D",                         // no such database: the same for every credential
		"40", "53", "55", "57", "58": // serialization, resources, locks, operator, system
		return true
	}
	return false
}
