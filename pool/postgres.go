package pool

import (
	"context"
	"database/sql/driver"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/rekey-go/rekey/refresh"
)

// A PostgresDialer is the [Dialer] for PostgreSQL over pgx's database/sql
// driver. Make one with [Postgres]; its hooks may be set before it is used.
// Connections are plain [stdlib.Conn], so everything that goes through
// [database/sql.Conn.Raw] works.
type PostgresDialer struct {
	config *pgx.ConnConfig

	// The hooks of package stdlib, each of which may be nil: before a login, with the
	// user name set and the password not; after it; whenever a connection is lent again;
	// and whether it is pinged then.
	BeforeConnect func(context.Context, *pgx.ConnConfig) error
	AfterConnect  func(context.Context, *pgx.Conn) error
	ResetSession  func(context.Context, *pgx.Conn) error
	ShouldPing    func(context.Context, stdlib.ShouldPingParams) bool
}

// Postgres returns a dialer for the server of config, which must come from
// [pgx.ParseConfig] and is copied. Its password is not used, nor its user
// where the source names one.
func Postgres(config *pgx.ConnConfig) *PostgresDialer {
	return &PostgresDialer{config: config.Copy()}
}

// Driver returns pgx's driver.
func (d *PostgresDialer) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

// Classify is [ClassifyPostgres].
func (d *PostgresDialer) Classify(err error) Verdict { return ClassifyPostgres(err) }

// Dial implements [Dialer].
func (d *PostgresDialer) Dial(ctx context.Context, l *Login) (driver.Conn, error) {
	opts := []stdlib.OptionOpenDB{
		stdlib.OptionResetSession(func(ctx context.Context, conn *pgx.Conn) error {
			if err := l.Check(ctx); err != nil {
				return err
			}
			if d.ResetSession != nil && !l.k.ofExchange(ctx) && !ofProbe(ctx) {
				return d.ResetSession(ctx, conn)
			}
			return nil
		}),
		stdlib.OptionShouldPing(func(ctx context.Context, params stdlib.ShouldPingParams) bool {
			return d.shouldPing(ctx, l, params)
		}),
	}
	if d.AfterConnect != nil {
		opts = append(opts, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
			err := d.AfterConnect(ctx, conn)
			if err != nil { // stdlib would leave it open
				_ = conn.Close(context.WithoutCancel(ctx))
			}
			return err
		}))
	}
	cc, err := configFor(d.config, d.BeforeConnect)(ctx, l.snapshot)
	if err != nil {
		return nil, err
	}
	l.k.install(cc, false, func(context.Context) (*Login, error) { return l, nil })
	return stdlib.GetConnector(*cc, opts...).Connect(ctx)
}

func (d *PostgresDialer) shouldPing(ctx context.Context, l *Login, params stdlib.ShouldPingParams) bool {
	if l.k.ofExchange(ctx) {
		return false
	}
	ping := params.IdleDuration > time.Second
	if d.ShouldPing != nil {
		ping = d.ShouldPing(ctx, params)
	}
	if params.IdleDuration < longIdle && !l.k.attention.Load() {
		return ping
	}
	return l.k.look(l, params.IdleDuration) || ping
}

// Probe implements [Prober].
func (d *PostgresDialer) Probe(ctx context.Context, conn driver.Conn) error {
	return probePgx(ctx, conn.(*stdlib.Conn).Conn())
}

// Verify implements [Dialer].
func (d *PostgresDialer) Verify(ctx context.Context, s refresh.Snapshot, opts *Options) error {
	return d.verifier(opts).verify(ctx, s)
}

// LostRights implements [RightsComparer].
func (d *PostgresDialer) LostRights(ctx context.Context, from, to refresh.Snapshot) ([]string, error) {
	return d.verifier(&Options{}).lostRights(ctx, from, to)
}

func (d *PostgresDialer) verifier(opts *Options) *pgxVerifier {
	return &pgxVerifier{opts, configFor(d.config, d.BeforeConnect), d.AfterConnect, nil}
}
