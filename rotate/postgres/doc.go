// Package postgres rotates the passwords and users of PostgreSQL. Its targets
// are for [rotate.Config]:
//
//   - [SingleUser] changes the password of one user. Between set and promote,
//     new logins with the current password fail.
//   - [Alternating] has two users that take turns, so that the current one works
//     on until the rotation after the next sets it again.
//   - [ParallelRole] makes a user for each rotation, a member of a group that
//     owns everything and holds all rights, and removes it when it has drained.
//
// Passwords never travel in SQL, where logs and statistics would keep them: the
// statements hold the SCRAM verifier, which [Verifier] computes. [Ident] and
// [Literal] write what statements such as ALTER ROLE, which take no parameters,
// have to contain.
//
// # The mark
//
// In the transaction that changes a role, its comment gets a mark, behind what
// people have written there:
//
//	the shop's own user [rekey 6f2c… 2026-03-01T12:00:00Z after=91ab… spent=0d44…]
//
// It names the rotation, when it was, the version that was current before, and
// rotations that have been undone and must not happen any more. All who rotate
// take an advisory lock for that transaction. So a rotation whose process slept
// finds out that others were there, and fails with an error that wraps
// [rotate.ErrConflict], or [rotate.ErrUnfit] if it was undone. Whoever takes a
// mark out of a comment starts afresh.
//
// # Rights
//
// The rotator's own user, who logs in by [Config].Admin, needs no superuser:
//
//	CREATE ROLE rotator LOGIN CREATEROLE PASSWORD '…';
//	GRANT app TO rotator WITH ADMIN OPTION;         -- single user; alternating: both
//	GRANT pg_read_all_stats TO rotator;             -- single user: when sessions began
//	GRANT app_owner TO rotator WITH ADMIN OPTION;   -- parallel role: the group
//	GRANT app TO rotator WITH ADMIN OPTION;         -- parallel role: its first user
//
// ADMIN OPTION counts from PostgreSQL 16 on; before, CREATEROLE is enough. For a
// parallel role it must be able to connect to every database in which a user that
// is removed owns something or was granted something itself, and to take such a
// grant away it must be a member of the owner of what was granted; what the group
// owns it is, of course. For settings of a user (ALTER ROLE … SET) that not
// everybody may set it needs GRANT SET ON PARAMETER.
//
// Tested on PostgreSQL 15 and 18. Everything here is safe for concurrent use.
package postgres
