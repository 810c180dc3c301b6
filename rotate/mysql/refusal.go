package mysql

import (
	"errors"
	"fmt"

	"github.com/go-sql-driver/mysql"
)

// Numbers of errors.
const (
	noDatabaseAccess = 1044
	wrongLogin       = 1045
	noSuchDatabase   = 1049
	noSuchSession    = 1094
	notTheOwner      = 1095
	noSuchTable      = 1146
	noSuchUser       = 1396 // to ALTER USER
)

// privileges are the numbers by which a server says that a right is missing.
var privileges = []uint16{noDatabaseAccess, 1142, 1143, 1227, 1370, 1410}

// rejections are the numbers by which a server says at a login that it does not
// let this user in with this password, and what to do.
var rejections = map[uint16]string{
	wrongLogin: "does not log in with this password, or does not exist",
	1698:       "logs in another way than by password; ALTER USER … IDENTIFIED WITH or VIA",
	1820:       expired,
	1862:       expired,
	3118:       locked,
	4151:       locked,
}

const (
	expired = "has an expired password; ALTER USER … PASSWORD EXPIRE NEVER, and rotate more often"
	locked  = "is locked; ALTER USER … ACCOUNT UNLOCK"
)

// isNumber reports whether err is the server's and has one of the numbers.
func isNumber(err error, numbers ...uint16) bool {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		for _, n := range numbers {
			if e.Number == n {
				return true
			}
		}
	}
	return false
}

// rejected reports whether the server has rejected a login.
func rejected(err error) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && rejections[e.Number] != ""
}

// loginError says who could not log in and why.
func loginError(user string, err error) error {
	var e *mysql.MySQLError
	if errors.As(err, &e) && rejections[e.Number] != "" {
		return &AccountError{user, rejections[e.Number], e}
	}
	return fmt.Errorf("mysql: a login as %q: %w", user, err)
}

// ownError says why the rotator's own user has no session.
func ownError(err error) error {
	return fmt.Errorf("mysql: the rotator's own user does not log in: %w", err)
}

// statementError says what a statement was for, and which privilege it needs.
func (x *session) statementError(about, privilege string, err error) error {
	if isNumber(err, privileges...) {
		return &PrivilegeError{privilege, about, serverError(err)}
	}
	return fmt.Errorf("mysql: %s: %w", about, serverError(err))
}

// texts are the numbers of errors whose text has no part of the statement in it,
// where a hash may stand.
var texts = append([]uint16{noSuchDatabase, noSuchTable, noSuchUser, 1053, 1205, 1213, 1290, 1317, 1792, 1836, 1927, 3024}, privileges...)

// serverError takes the text out of other errors of the server.
func serverError(err error) error {
	var e *mysql.MySQLError
	if !errors.As(err, &e) || isNumber(err, texts...) {
		return err
	}
	return &mysql.MySQLError{Number: e.Number, SQLState: e.SQLState, Message: "the server's words are left out, as they may quote a hash"}
}
