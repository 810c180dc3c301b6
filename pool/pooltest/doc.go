// Package pooltest lets a service test that it lives through rotations, on a
// real PostgreSQL: a server, a rotation and an assertion in a line each. Import
// it from tests only.
//
//	func TestOrdersSurviveRotation(t *testing.T) {
//		srv := pooltest.Postgres(t)
//		srv.Exec(t, `create table orders (id bigserial primary key, item text)`)
//		db, err := pool.Open(t.Context(), srv.DSN(), srv.Store(), nil)
//		require.NoError(t, err)
//		defer db.Close()
//		load := pooltest.StartLoad(t, 16, func(ctx context.Context) error {
//			return orders.New(db).Place(ctx, "tea") // your service
//		})
//		srv.Rotate(t, db) // a new password, then a new user; the old one is dropped
//		load.NoFailures(t)
//	}
//
// [Postgres] takes the server of REKEY_TEST_POSTGRES_DSN, or starts one from
// local binaries or with Docker; where none can be had the test fails with the
// command that helps. [On] takes a database that you have started and
// migrated, such as a testcontainer.
//
// A rotation is what an operator does: the database first, then the store;
// then it waits until the pools have followed and the server has no older
// session left, and drops the old user. It fails the test with what it still
// sees after 30 s, or shortly before the test's own deadline. A service whose
// pools are out of reach is tested by what the server sees: call the same
// methods without a pool, and give the service the store as a file
// ([Store.File]) or as a source. A service that has no session at a moment is
// then taken for one that has followed: where it answers with [pool.Handler],
// rather give them a [pool.Reporter] that asks it there. A process of its own
// has to be told the version for that, in the file's field rekey_version.
//
// Faults: [Server.ChangePassword] leaves the store behind, [Store.Fail] takes
// it away, [Server.Stop] takes the database away.
//
// With a rotation of your own, take [StartLoad] and [Follows], which asks any
// source, and a [Store] of your own where you need one.
//
// Like t.FailNow, methods that take a testing.TB must be called from the
// test's own goroutine. All types are otherwise safe for concurrent use.
package pooltest
