// Package pool gives database pools a credential that changes underneath.
//
// A [ManagedPool] is a pgxpool.Pool and a [ManagedDB] is a sql.DB, each one
// handle for the life of the process:
//
//	db, err := pool.Open(ctx, "postgres://db.internal/app?sslmode=verify-full", src, nil)
//
// User name and password are put in at every login, from one snapshot of the
// credential. Each connection remembers the generation it logged in with. When
// the credential changes, the new one is verified first, then adopted, and then
// the old connections are exchanged a few at a time, idle ones first, each
// replaced before it is closed; a connection that is lent finishes its work and
// leaves when it comes back.
//
// The way through the code: options.go, pgx.go (ManagedPool), sql.go
// (ManagedDB), pglogin.go and pghosts.go (what happens at a login and after a
// rejected one), keeper.go (who decides which connection may be lent),
// rollover.go and exchange.go (when and how old ones leave).
package pool
