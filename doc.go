// Package rekey is the root of a library that changes database credentials
// underneath a running service: the pool is opened once, and passwords, users
// and leases change for as long as the process lives, without a restart and
// without a failed statement.
//
//	store (a file, your own Source)                     database
//	   │ fetch / renew / revoke                            ▲
//	   ▼                                                   │ every login: user and password of one snapshot
//	source.Source ──► refresh.Refresher ──snapshot──► pool.ManagedPool, pool.ManagedDB
//	                         ▲    ahead of expiry          │ each connection belongs to a generation
//	                         └──── a login is rejected ◄───┘
//
// Start with package pool:
//
//	src := file.JSON("/run/secrets/db.json", nil)
//	db, err := pool.Open(ctx, "postgres://db.internal/app?sslmode=verify-full", src, nil)
//
// The packages, each usable without those after it:
//
//   - source says where a credential comes from: one method. source/file
//     watches files; source/sourcetest holds your own sources to the rules.
//   - refresh keeps one credential fresh: refresh ahead, single flight, a gate
//     that verifies before anybody gets it, renewal of leases, retirement.
//   - pool logs in with it: ManagedPool over pgxpool, ManagedDB over
//     database/sql.
//
// examples/quickstart shows it all at work.
package rekey
