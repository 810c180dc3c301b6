// Package refresh keeps one credential fresh for everyone in the process.
//
// A [Refresher] asks its [source.Source] again before the credential ends,
// with jitter, so that a fleet does not ask in step. A new credential passes
// the gate before anybody sees it: every attached [Consumer] verifies it. While
// the source fails, the last good credential serves until its true end, and a
// lease is renewed in its place.
//
//	r, err := refresh.New(ctx, src, nil)
//	defer r.Close()
//	snap, err := r.Latest(ctx) // an atomic load while the credential is good
//
// For a pool, pool.Open does this by itself; make a Refresher to share one credential
// among several pools, or for a secret that is no database login: [Derive] keeps any
// value that is made of a credential as fresh as it. Packages refresh/apikey,
// refresh/tlsconfig and refresh/keyset do so for API keys, certificates and signing keys.
//
// [Refresher.Attach], [Attachment] and [Hold] are for who writes a pool, or anything
// else that can tell whether a credential works.
//
// # Leases
//
// A lease is alive until the store has confirmed its revocation or it has ended
// by itself. At most two are alive: the current one and its predecessor, which is
// revoked when nobody uses it any more, and at the latest before a third is
// fetched. That holds for a store that refuses to revoke, or cannot, too: a
// current lease that is due is then renewed in its place, as long as the store
// grants that, and replaced when the predecessor has ended by itself. With leases
// of equal length, and [Options.Ahead] at most a third of it, that is in time
// without any renewal. [Health] shows the refusal, and the log says it once.
//
// To be able to log in is worth more. A third lease is fetched when logins are
// rejected, when [Refresher.Refresh] asks for it, and when the current one cannot
// be renewed and reaches the last sixth of its life before its predecessor has
// ended. Each beyond the third waits after the one before, for one second first
// and then for twice as long each time, or until only one is alive. So leases of
// an hour that nobody revokes are never more than 14 at a time, those of a minute
// 8 and those of ten seconds 6, whatever fails. Leases that are revoked, but
// rejected again and again at the login, are replaced at once, after 1 s, 2 s, 4 s
// and so on up to 2 min.
package refresh

// The way of a credential: fetch (loop.go) → gate (gate.go) → generation
// (generation.go) → holds by logins (attach.go) → retirement and revocation
// (retire.go), with room for another lease (room.go). When to do what is in
// schedule.go and trial.go, which are pure.
