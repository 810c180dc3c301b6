// Package source says where a credential comes from.
//
// A [Source] is anything that can answer one question: what is the credential
// now? Stores live in packages below this one (files, Vault, AWS Secrets
// Manager); [Static], [Env] and [Fallback] are here, and any closure is a
// source by way of [Func].
//
// A store of your own takes one function:
//
//	src := source.Func(func(ctx context.Context) (source.Credential, error) {
//		login, err := store.Login(ctx, "orders")
//		return source.Credential{Username: login.User, Password: source.NewSecret(login.Password)}, err
//	})
//	db, err := pool.Open(ctx, "postgres://db.internal/app?sslmode=verify-full", src, nil)
//
// A source keeps no schedule. Package refresh asks it again before what it
// said has ended, and shares the answer among all pools of the process.
//
// [Source], [Watcher], [CandidateSource] and [Lease] stay as they are within a major
// version; what else a source may be able to do comes as an interface of its own.
package source

import "context"

// A Source answers with the credential that is current in its store.
//
// Implementations are safe for concurrent use, return when ctx ends, and never
// put a secret's text into an error. An error that a repetition cannot mend is
// marked with [Permanent]. Package sourcetest has the suite that holds a
// source against these rules.
//
// A source may also be a [Watcher] or a [CandidateSource].
type Source interface {
	// Credential fetches the current credential. The fields that the store
	// does not know (Version, Issued) may be left empty: the refresher fills
	// them in.
	Credential(ctx context.Context) (Credential, error)
}

// Func lets an ordinary function be a [Source].
type Func func(ctx context.Context) (Credential, error)

// Credential calls f.
func (f Func) Credential(ctx context.Context) (Credential, error) { return f(ctx) }

// A Watcher is a [Source] that can tell by itself when its store may hold
// something new, so that nobody waits for the next poll.
type Watcher interface {
	Source

	// Watch has changed called whenever the credential may have changed. One
	// call may stand for several changes and may prove to be no change at all.
	// changed does not block. Watch returns at once; after stop has returned,
	// changed is not called any more. stop may be called more than once, but
	// not from within changed.
	Watch(changed func()) (stop func())
}

// A CandidateSource is a [Source] whose store knows other credentials that the
// database may accept while it does not accept the current one: a pending
// successor, or the predecessor.
type CandidateSource interface {
	Source

	// Candidates returns them, the likeliest first, without the current one.
	// It is called only after the database has rejected the current one; the
	// first that the database accepts is used until the current one works.
	Candidates(ctx context.Context) ([]Credential, error)
}

type bypassKey struct{}

// BypassCache marks ctx: the database has rejected what the source said
// before, so the answer must come from the store itself and from no cache in
// between. Sources without a cache need not look.
func BypassCache(ctx context.Context) context.Context {
	return context.WithValue(ctx, bypassKey{}, true)
}

// CacheBypassed reports whether ctx is marked by [BypassCache].
func CacheBypassed(ctx context.Context) bool {
	bypass, _ := ctx.Value(bypassKey{}).(bool)
	return bypass
}
