package refresh

import (
	"context"
	"log/slog"

	"github.com/rekey-go/rekey/source"
)

// A Trace is told when an operation begins and, through the function that it
// returns, when it has ended and with which error. The operation runs under
// the context that it returns, which is ctx or one derived from it, so that
// what the store's client and the driver report hangs below.
//
//	operation  around                                         attributes
//	fetch      one request to the source                      credential
//	verify     one consumer's check of one credential         credential, generation, user, version
//	renew      one renewal of a lease                         credential, generation, user, version
//	revoke     one try to revoke a lease                      credential, user, version
//	rollover   from the adoption of a generation until no     credential, generation, user, version
//	           connection of an older one is left (package pool)
//
// credential is [Options.Name], generation a uint64; the generation of a
// candidate is the one that it would get. No attribute holds a secret. An error
// may name the user and the version, as in the log.
//
// Most operations run in the background, under the values of the context that
// [New] was given: a span in it may have ended long ago. A Trace is called from
// several goroutines, must return at once, must not return nil, and must not
// call back into the refresher.
type Trace func(ctx context.Context, operation string, attrs ...slog.Attr) (context.Context, func(error))

// Start calls t; a nil Trace does nothing.
func (t Trace) Start(ctx context.Context, operation string, attrs ...slog.Attr) (context.Context, func(error)) {
	if t == nil {
		return ctx, func(error) {}
	}
	return t(ctx, operation, attrs...)
}

// trace begins an operation with the credential c of generation number, each of
// which may be zero.
func (r *Refresher) trace(ctx context.Context, operation string, c source.Credential, number uint64) (context.Context, func(error)) {
	attrs := []slog.Attr{slog.String("credential", r.opts.Name)}
	if number > 0 {
		attrs = append(attrs, slog.Uint64("generation", number))
	}
	if c.Version != "" {
		attrs = append(attrs, slog.String("user", c.Username), slog.String("version", c.Version))
	}
	return r.opts.Trace.Start(ctx, operation, attrs...)
}
