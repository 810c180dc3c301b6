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
//   - source says where a credential comes from: one method. source/file watches
//     files, source/vault, source/secretsmanager and source/rdsiam ask Vault and
//     AWS; source/sourcetest holds your own sources to the rules.
//   - refresh keeps one credential fresh: refresh ahead, single flight, a gate
//     that verifies before anybody gets it, renewal of leases, retirement.
//     refresh/apikey, refresh/tlsconfig and refresh/keyset are for secrets that
//     are no logins.
//   - pool logs in with it: ManagedPool over pgxpool, ManagedDB over
//     database/sql, with pool/mysql, pool/pq and pool/connector for its drivers;
//     pool/verify has checks of a new credential, pool/otelpool reports to
//     OpenTelemetry, pool/pooltest is for your own tests.
//   - rotate is the other side: it changes a secret in its store and its target,
//     in steps that a crash may break off anywhere.
//
// examples/quickstart shows it all at work, examples/httpserver is a whole service.
//
// # Stability
//
// Versions are semantic. Before v1 a minor version may break callers, which the
// changelog then says; packages below internal and examples are no part of it.
package rekey
