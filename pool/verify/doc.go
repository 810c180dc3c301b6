// Package verify proves that a database credential can do the work before
// anybody gets it. Its checks are what pool.Options.Verify takes:
//
//	db, err := pool.Open(ctx, connString, src, &pool.Options{
//		Verify: verify.All(
//			verify.Privileges(
//				verify.On("orders", "select", "insert"),
//				verify.OnColumns("orders", []string{"item", "qty"}, "update")),
//			verify.Statements("insert into orders (item, qty) values ($1, $2)"),
//		),
//	})
//
// From the least intrusive to the most thorough: [Privileges] asks the catalog,
// [Statements] has the server plan the application's own statements, which
// checks rights without running them, and [Execute] runs one and rolls it back.
// Any function of the type [Check] is a check, too.
//
// [Lost] compares what two roles may do.
//
// All of it counts for the session's current_user, so it is right for roles
// that inherit nothing and for those that log in into another role (ALTER ROLE
// … SET role TO …), too. What this package itself asks the server does not
// depend on search_path: an object that shadows one of the system's neither
// fools it nor runs.
//
// Tested on PostgreSQL 15 and 18.
package verify
