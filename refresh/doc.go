// Package refresh keeps one credential fresh for everyone in the process.
//
// A [Refresher] asks its [source.Source] again before the credential ends,
// with jitter, so that a fleet does not ask in step. A new credential passes
// the gate before anybody sees it: every attached [Consumer] verifies it. While
// the source fails, the last good credential serves until its true end, and a
// lease is renewed in its place.
//
//	r, err := refresh.New(ctx, src, nil)
//	snap, err := r.Latest(ctx)   // an atomic load while the credential is good
//
// The way of a credential: fetch (loop.go) → gate (gate.go) → generation
// (generation.go) → holds by logins (attach.go) → retirement and revocation
// (retire.go). When to do what is in schedule.go and trial.go, which are pure.
package refresh
