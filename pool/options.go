package pool

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/refresh"
)

// Options adjust a [ManagedPool] or a [ManagedDB]. The zero value, or nil, means the
// defaults, and so does a negative value where no other meaning is given.
type Options struct {
	// Refresh is for [Open], which makes a refresher of its own. [New] and
	// [OpenDB] are given one and ignore it.
	Refresh *refresh.Options

	// Verify is run on a connection of its own with each new credential,
	// after the login and before anybody gets the credential. An error that is
	// not about the network or the state of the server rejects the credential
	// and the old one stays. Package [github.com/rekey-go/rekey/pool/verify]
	// has checks. Nil: a login is enough. It is used by PostgreSQL pools over
	// pgx.
	Verify func(ctx context.Context, conn *pgx.Conn) error

	// LoginTimeout bounds how long one login waits for a usable credential.
	// Zero: 30 s.
	LoginTimeout time.Duration

	// Pace is how many connections of a replaced credential are exchanged at a
	// time. Zero: 2. During a rollover the server sees up to this many
	// sessions more than the pool's size, and one more while a credential is
	// verified: a role's CONNECTION LIMIT needs that room.
	Pace int

	// VersionTag adds a short tag of the credential's version to the
	// application_name of each connection, so that the database's list of
	// sessions shows who still uses which version. Any user of the database can
	// read it. Only versions that the store has named are shown, never a digest
	// or that of a lease. Behind a pooler it names the last client.
	VersionTag bool

	// Canary is how long a replaced credential of another user is kept, its
	// lease unrevoked, to return to if the new user turns out to have lost
	// rights: at a rights error that the old user did not have, the rights of
	// both are compared. Zero: 30 s. Negative: never.
	Canary time.Duration

	// Overstay is how long a connection may stay lent after its credential's
	// deadline before it is closed under its user. Zero: for ever, it is only
	// reported.
	Overstay time.Duration

	// Probe is the interval at which idle connections are asked whether their
	// user still exists (see [ErrDisowned]). Zero: 30 s. Negative: never.
	Probe time.Duration

	// Classify tells what an error of a login means for the credential. Nil:
	// the driver's own rule, such as [ClassifyPostgres].
	Classify func(error) Verdict

	// Trace is told of every rollover, and with [Open] of what the pool's own
	// refresher does, unless Refresh has a Trace. Nil: nobody is.
	Trace refresh.Trace

	// Logger receives what happens, without any secret. Nil: [slog.Default].
	Logger *slog.Logger
}

func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	d.LoginTimeout = cmp.Or(max(d.LoginTimeout, 0), 30*time.Second)
	d.Pace = cmp.Or(max(d.Pace, 0), 2)
	d.Probe = cmp.Or(d.Probe, 30*time.Second)
	d.Canary = cmp.Or(d.Canary, 30*time.Second)
	d.Overstay = max(d.Overstay, 0)
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	return d
}
