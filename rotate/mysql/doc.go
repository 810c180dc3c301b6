// Package mysql rotates passwords of MySQL (8.0.21 and later) and MariaDB (10.4
// and later). Its targets find out with which of them they have to do.
//
//   - [DualPassword]: the user stays and accepts two passwords, until the older
//     one is discarded. Nobody notices. This is the one to use.
//   - [Alternating]: two users take turns.
//   - [SingleUser]: the password changes in place. From set to promote, new logins
//     with the current one fail.
//
// For example:
//
//	target, err := mysql.DualPassword(&mysql.Config{Admin: admin, Login: login}) // a *sql.DB, a *mysql.Config of the driver
//	r, err := rotate.New(&rotate.Config{Store: store, Target: target, Generate: generatePassword})
//
// # Rights of the rotator's own user
//
// All targets change users and look at sessions:
//
//	GRANT CREATE USER, PROCESS ON *.* TO rotator;
//
// CREATE USER is the least that changes another user's password. On MySQL it does
// not reach users who have SYSTEM_USER, so that administrators are out of reach; on
// MariaDB it reaches every user. MariaDB needs a place for marks as well:
//
//	CREATE DATABASE rekey;
//	GRANT CREATE, SELECT, INSERT, UPDATE ON rekey.* TO rotator;
//
// The rotator cannot read hashes or data. A right that is missing is a
// [*PrivilegeError].
//
// # What travels, and what is written down
//
// A password never travels in a statement, where logs and lists of processes would
// keep it: [CachingSHA2Hash] and [NativeHash] turn it into what the server stores.
// MySQL's users log in by caching_sha2_password afterwards, MariaDB's by
// mysql_native_password, whatever it was before. Clients of caching_sha2_password
// need TLS, or the server's RSA key, for the first login after a change.
//
// Each change leaves a mark: which rotation it was and which ones must not happen
// any more, so that one that comes late does no harm. On MySQL the mark is part of
// the user's ATTRIBUTE, under "rekey", which the same statement changes; what else
// is in the attribute stays. MariaDB's users have no such place, and its statements
// no transaction, so the marks are in a table, rekey.rotation. There a rotation
// claims the user before it changes the password, and a login with the next
// password tells whether it has. The hashes could tell what has been set, too, but
// not what has been undone, and to read them takes the right to read everybody's.
//
// Changes of one user are held apart by a lock of the server (GET_LOCK). In a
// cluster with several writable servers, have Config.Admin lead to one of them.
//
// # Sessions
//
// Open sessions do not notice a change of their password. Neither product tells
// when a session began, but both number them; the mark has the last number before
// the change. Sessions are counted on the server that Config.Admin leads to. If
// that is another one than at the time of the change, all of the user are counted.
//
// # Beside targets
//
// [Account], [Ident] and [Literal] write what statements such as ALTER USER, which
// take no parameters, have to contain. Everything here is safe for concurrent use.
package mysql
