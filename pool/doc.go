// Package pool gives database pools a credential that changes underneath.
//
// A [ManagedPool] is a pgxpool.Pool and a [ManagedDB] is a sql.DB, each one
// handle for the life of the process:
//
//	src := file.JSON("/run/secrets/db.json", nil) // of source/file, or another source
//	db, err := pool.Open(ctx, "postgres://db.internal/app?sslmode=verify-full", src, nil)
//	defer db.Close()
//	rows, err := db.Query(ctx, "select id, item from orders")
//
// [Open] is for one pool over pgx; [New] shares a refresher and takes a configuration;
// [OpenDB] is for database/sql and what is built on it.
//
// User name and password are put in at every login, from one snapshot of the
// credential. Each connection remembers the generation it logged in with. When
// the credential changes, the new one is verified first, then adopted, and then
// the old connections are exchanged a few at a time, idle ones first, each
// replaced before it is closed; a connection that is lent finishes its work and
// leaves when it comes back.
//
// A new user that turns out to lack rights is noticed at its first rights
// error, and the old one serves again ([Options.Canary]). Sessions whose user
// was dropped in the database are found by a probe when they are lent
// ([Options.Probe]). Connections that outlive their credential are reported
// and, if asked, closed ([Options.Overstay]).
//
// Packages below this one bring other drivers (mysql, pq, connector), checks
// for a new credential (verify), telemetry (otelpool), a rotation in a line
// for your own tests (pooltest), and the suite that each driver passes
// (dialertest).
package pool

// The way through the code: options.go, pgx.go (ManagedPool), sql.go
// (ManagedDB), pglogin.go and pghosts.go (what happens at a login and after a
// rejected one), keeper.go (who decides which connection may be lent),
// rollover.go and exchange.go (when and how old ones leave), rights.go (a new
// user has lost rights), probe.go (a user was dropped).
