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
	// Doubtful means that it may or may not: the login failed behind a pooler
	// that does not say why. The source is asked whether it has another
	// credential, nothing is held against this one, and a candidate is kept
	// until there is a clear answer.
	Doubtful
)

// SQLSTATEs that matter at a login.
const (
	invalidPassword      = "28P01" // wrong password, unknown or expired role
	invalidAuthorization = "28000" // role may not log in, or no pg_hba line for it
	unknownDatabase      = "3D000"
	insufficientRights   = "42501" // at a login: no right to connect to the database
	protocolViolation    = "08P01" // what pgbouncer calls every failed login, its own at the server's included
)

// lacksRights reports whether a statement failed because its user lacks a
// right. The same code comes from functions that raise it and from row-level
// security, which the routine tells apart.
func lacksRights(e *pgconn.PgError) bool {
	switch e.Routine {
	case "exec_stmt_raise", "ExecWithCheckOptions", "check_enable_rls":
		return false
	}
	return e.Code == insufficientRights
}

// ClassifyPostgres is the rule for PostgreSQL, reached directly, through
// pgbouncer or through RDS Proxy: their codes do not get in each other's way.
// A server rejects a login with SQLSTATE 28P01 or 28000, RDS Proxy with 28000
// whatever the reason. pgbouncer says 08P01 to everything, so that is doubtful;
// a server says it to no login that pgx makes. Wrapped and joined errors are
// looked through; texts are not.
func ClassifyPostgres(err error) Verdict {
	var pg interface{ SQLState() string }
	if !errors.As(err, &pg) {
		return Unrelated
	}
	switch pg.SQLState() {
	case invalidPassword, invalidAuthorization:
		return Rejected
	case protocolViolation:
		return Doubtful
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
