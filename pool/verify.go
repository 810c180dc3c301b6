package pool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/rekey-go/rekey/pool/verify"
	"github.com/rekey-go/rekey/refresh"
)

// A pgxVerifier logs in beside a pool of pgx connections, as the pool would
// with its hooks.
type pgxVerifier struct {
	opts         *Options
	configFor    func(context.Context, refresh.Snapshot) (*pgx.ConnConfig, error)
	afterConnect func(context.Context, *pgx.Conn) error
	beforeClose  func(*pgx.Conn)
}

// verify proves that the credential of s is fit: it logs in and runs the user's
// check.
func (v *pgxVerifier) verify(ctx context.Context, s refresh.Snapshot) error {
	return v.withLogin(ctx, s, func(conn *pgx.Conn) error {
		if v.opts.Verify == nil {
			return nil
		}
		if err := v.opts.Verify(ctx, conn); err != nil {
			return unfit("Verify", err)
		}
		return nil
	})
}

// lostRights logs in with both credentials and compares their roles.
func (v *pgxVerifier) lostRights(ctx context.Context, from, to refresh.Snapshot) (lost []string, err error) {
	roleOf := func(conn *pgx.Conn) (role verify.Role) {
		if err == nil {
			role, err = verify.RoleOf(ctx, conn)
		}
		return role
	}
	loginErr := v.withLogin(ctx, from, func(conn *pgx.Conn) error {
		before := roleOf(conn)
		return v.withLogin(ctx, to, func(conn *pgx.Conn) error {
			after := roleOf(conn)
			if err == nil {
				lost, err = verify.Lost(ctx, conn, before, after)
			}
			return err
		})
	})
	return lost, cmp.Or(err, loginErr)
}

// withLogin logs in with the credential of s on a connection of its own and
// calls f with it. The password is set only while the login is on its way.
func (v *pgxVerifier) withLogin(ctx context.Context, s refresh.Snapshot, f func(*pgx.Conn) error) error {
	cc, err := v.configFor(ctx, s)
	if err != nil {
		return err
	}
	cc.Password = ""
	var config *pgconn.Config // what errors and conn.Config point at
	hook := cc.AfterNetConnect
	cc.AfterNetConnect = func(ctx context.Context, c *pgconn.Config, conn net.Conn) (net.Conn, error) {
		if s.Username != "" {
			c.User = s.Username
		}
		config, c.Password = c, s.Password.Reveal()
		if hook == nil {
			return conn, nil
		}
		return hook(ctx, c, conn)
	}
	conn, err := pgx.ConnectConfig(ctx, cc)
	if config != nil {
		config.Password = ""
	}
	if err != nil {
		return loginError(err, v.opts)
	}
	defer func() {
		if v.beforeClose != nil {
			v.beforeClose(conn)
		}
		_ = conn.Close(context.WithoutCancel(ctx))
	}()
	if err := conn.Ping(ctx); err != nil { // a pooler logs in only now
		return loginError(err, v.opts)
	}
	if v.afterConnect != nil {
		if err := v.afterConnect(ctx, conn); err != nil {
			return unfit("AfterConnect", err)
		}
	}
	return f(conn)
}

// loginError decides whether a failed login condemns the credential.
func loginError(err error, opts *Options) error {
	classify := opts.Classify
	if classify == nil {
		classify = ClassifyPostgres
	}
	var pg *pgconn.PgError
	if classify(err) == Rejected || errors.As(err, &pg) && pg.Code == insufficientRights {
		return fmt.Errorf("login: %w (%w)", err, refresh.ErrRejected)
	}
	return fmt.Errorf("login: %w", err)
}

// unfit decides whether what a hook found condemns the credential.
func unfit(hook string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || passing(err) {
		return fmt.Errorf("%s: %w", hook, err)
	}
	return fmt.Errorf("%s: %w (%w)", hook, err, refresh.ErrRejected)
}

// configFor makes copies of a configuration for single logins, as the user's
// hook wants them.
func configFor(config *pgx.ConnConfig, hook func(context.Context, *pgx.ConnConfig) error,
) func(context.Context, refresh.Snapshot) (*pgx.ConnConfig, error) {
	return func(ctx context.Context, s refresh.Snapshot) (*pgx.ConnConfig, error) {
		cc := config.Copy()
		if s.Username != "" {
			cc.User = s.Username
		}
		if hook == nil {
			return cc, nil
		}
		return cc, hook(ctx, cc)
	}
}
