package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"

	"github.com/go-sql-driver/mysql"

	"github.com/rekey-go/rekey/pool"
)

const (
	noDatabaseAccess = 1044 // at a login: no right on the database; in use as well
	noSuchGrant      = 1141 // the session's user has no entry in the grant tables
	wrongPassword    = 1045 // or an unknown user; in use: no right to FILE or to grant
)

// rejections are the error numbers by which a server says at a login that it
// does not accept the credential. Where an account is locked for some time,
// another attempt with the same credential does not help either, and the login
// budget bounds them.
var rejections = map[uint16]bool{
	wrongPassword: true,
	1698:          true, // no password, or another kind of login is asked for
	1820:          true, // password has expired: every statement is refused
	1862:          true, // password has expired: the login is refused
	3118:          true, // account is locked (MySQL)
	4151:          true, // account is locked (MariaDB)
	3955:          true, // account is locked after too many attempts (MySQL)
	4150:          true, // user is blocked after too many attempts (MariaDB)
}

// rights are the error numbers of statements that are refused for lack of
// rights.
var rights = map[uint16]bool{
	noDatabaseAccess: true,
	wrongPassword:    true,
	1095:             true, // not the owner of a thread
	1142:             true, // table
	1143:             true, // column
	noSuchGrant:      true,
	1227:             true, // something global, such as SUPER
	1370:             true, // routine
	1410:             true, // to grant
	1419:             true, // to create functions while there is a binary log
	1959:             true, // role is not granted (MariaDB)
	3530:             true, // role is not granted (MySQL)
}

// passings are the error numbers that are about the state of the server and not
// about who asks.
var passings = map[uint16]bool{
	1015: true, 1020: true, 1021: true, 1037: true, 1038: true, 1041: true, // locks, disk, memory
	1040: true, 1042: true, 1043: true, 1047: true, 1053: true, // connections, hand-shake, a node that is not ready, shutdown
	1114: true, 1129: true, 1152: true, 1158: true, 1159: true, 1160: true, 1161: true, 1184: true, // full, blocked host, network
	1105: true, 1180: true, 1203: true, 1205: true, 1206: true, 1213: true, 1226: true, // unknown, limits, locks
	1290: true, 1317: true, 1792: true, 1836: true, 1927: true, 1969: true, // read-only, killed, too slow
	3024: true, 3032: true, 3572: true, 4031: true, // too slow, off line, locks, idle for too long
	1049: true, // no such database: the same for every credential
}

// number is the server's number of an error, or zero.
func number(err error) uint16 {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return e.Number
	}
	return 0
}

// Classify is the rule for a MySQL or MariaDB server: a wrong or expired
// password, an unknown user and a locked account are rejections. Wrapped and
// joined errors are looked through; texts are not.
func Classify(err error) pool.Verdict {
	if rejections[number(err)] {
		return pool.Rejected
	}
	return pool.Unrelated
}

// denied reports whether a statement was refused for lack of rights.
func denied(err error) bool { return rights[number(err)] }

// passing reports whether a failed check may succeed later with the same
// credential.
func passing(err error) bool {
	if n := number(err); n != 0 {
		return passings[n]
	}
	var network net.Error
	return errors.As(err, &network) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
