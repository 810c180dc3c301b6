package pool

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/refresh"
)

// Options adjust a [ManagedPool] or a [ManagedDB]. The zero value, or nil,
// means the defaults, and so do negative values.
type Options struct {
	// Refresh is for [Open], which makes a refresher of its own. [New] and
	// [OpenDB] are given one and ignore it.
	Refresh *refresh.Options

	// Verify is run on a connection of its own with each new credential,
	// after the login and before anybody gets the credential. An error that is
	// not about the network or the state of the server rejects the credential
	// and the old one stays. Nil: a login is enough. It is used by
	// PostgreSQL pools over pgx.
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

	// Overstay is how long a connection may stay lent after its credential's
	// deadline before it is closed under its user. Zero: for ever, it is only
	// reported.
	Overstay time.Duration

	// Probe is the interval at which idle connections are asked whether their
	// user still exists (see [ErrDisowned]). Zero: 30 s. Negative: never.
	Probe time.Duration

	// Classify tells which errors of the driver mean that the database
	// rejected the credential. Nil: the driver's own rule, for a server that
	// is reached directly.
	Classify func(error) Verdict

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
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	return d
}
