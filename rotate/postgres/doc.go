// Package postgres rotates the passwords and users of PostgreSQL. Its targets
// are for [rotate.Config]:
//
//   - [SingleUser] changes the password of one user. Between set and promote,
//     new logins with the current password fail.
//   - [Alternating] has two users that take turns, so that the current one works
//     on until the rotation after the next sets it again.
//   - [ParallelRole] makes a user for each rotation, a member of a group that
//     owns everything and holds all rights, and removes it when it has drained.
//     [PlanMove] is the way there from grants to a user itself.
//
// For example:
//
//	login, err := pgx.ParseConfig("postgres://db.internal/shop?sslmode=verify-full")
//	target, err := postgres.ParallelRole(&postgres.Config{
//		Admin: func(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, adminURL) },
//		Login: login,
//	}, "app_owner")
//	r, err := rotate.New(&rotate.Config{Store: store, Target: target, Generate: generatePassword})
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
//	the shop's own user [rekey 6f2c… 2026-03-01T12:00:00Z after=91ab… line=app spent=0d44…]
//
// It names the rotation, when it was, the version that was current before, the
// user that parallel roles descend from, and rotations that have been undone and
// must not happen any more. All who rotate write the role's row before they read
// the mark, and wait for each other there, in whatever database they are. So a
// rotation whose process slept finds out that others were there, and fails with
// an error that wraps [rotate.ErrConflict], or [rotate.ErrUnfit] if it was
// undone. Whoever takes a mark out of a comment starts afresh.
//
// # Rights
//
// The rotator's own user, who logs in by [Config].Admin, needs no superuser. It
// may connect to a database of the cluster, has CREATEROLE, and, all WITH ADMIN
// OPTION, which counts from PostgreSQL 16 on (before, CREATEROLE is enough to
// change a role, and membership to see and end its sessions):
//
//	single user         GRANT app TO rotator
//	alternating users   GRANT app_blue, app_green TO rotator
//	parallel role       GRANT app_owner, app TO rotator   -- the group, and its first user
//
// For a parallel role, too:
//
//	GRANT pg_read_all_stats TO rotator      -- to tell who uses a user it has made
//	GRANT SET ON PARAMETER … TO rotator     -- for settings of users that not everybody may set
//
// It must be able to connect to every database in which a user that is removed
// owns something or was granted something itself, and to take such a grant away
// it must be a member of the owner of what was granted. The group must be allowed
// to create in the schemas of what it takes over. To end sessions the rotator
// makes itself a member of a user it has made; a member of pg_signal_backend need
// not. Users that one rotator has made can be removed by another only WITH ADMIN
// OPTION on them (from PostgreSQL 16 on). createrole_self_grant is not needed.
//
// What a rotation asks of the server is in testdata/trips.txt.
//
// # What is not compared
//
// Verify compares the rights of two users by what the catalog says. It cannot
// tell policies and functions that look at the user's name: write those with the
// group, pg_has_role(…), or current_user where that is the group.
//
// Tested on PostgreSQL 15 and 18. Everything here is safe for concurrent use.
package postgres
