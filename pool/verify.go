package pool

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/rekey-go/rekey/refresh"
)

// verifyPgx proves that the credential of s is fit: it logs in on a connection
// of its own, as the pool would with its hooks, and runs the user's check. cc
// is a copy for this login; its password is set only while that is on its way.
func verifyPgx(ctx context.Context, cc *pgx.ConnConfig, s refresh.Snapshot, opts *Options,
	afterConnect func(context.Context, *pgx.Conn) error, beforeClose func(*pgx.Conn),
) error {
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
		return loginError(err, opts)
	}
	defer func() {
		if beforeClose != nil {
			beforeClose(conn)
		}
		_ = conn.Close(context.WithoutCancel(ctx))
	}()
	if afterConnect != nil {
		if err := afterConnect(ctx, conn); err != nil {
			return unfit("AfterConnect", err)
		}
	}
	if opts.Verify != nil {
		if err := opts.Verify(ctx, conn); err != nil {
			return unfit("Verify", err)
		}
	}
	return nil
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
