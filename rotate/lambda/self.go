package lambda

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/postgres"
	"github.com/rekey-go/rekey/source"
)

// self is the target of a user that changes its own password, which every user
// may. It may not write into its comment, so there is no mark there: who logs in
// tells what was set, and the lock keeps others away.
type self struct {
	rotate.Target // of a single user
	config        *postgres.Config
}

// newSelf completes config: who changes the database is the user itself, with
// whichever password is set.
func newSelf(config *postgres.Config, state rotate.State) (rotate.Target, error) {
	config.Admin = func(ctx context.Context) (*pgx.Conn, error) {
		conn, err := connect(ctx, config.Login, state.Current.Credential)
		if rejected(err) && state.Pending != nil {
			return connect(ctx, config.Login, state.Pending.Credential)
		}
		return conn, err
	}
	single, err := postgres.SingleUser(config)
	if err != nil {
		return nil, err
	}
	return &self{single, config}, nil
}

// Set logs in with the current password and changes it.
func (s *self) Set(ctx context.Context, c rotate.Change) error { return s.change(ctx, c.From, c.To) }

// Undo logs in with the next password and changes it back.
func (s *self) Undo(ctx context.Context, c rotate.Change) error { return s.change(ctx, c.To, c.From) }

// Applied logs in.
func (s *self) Applied(ctx context.Context, c rotate.Change) (bool, error) {
	return s.Accepts(ctx, c.To)
}

func (s *self) change(ctx context.Context, from, to source.Credential) error {
	if done, err := s.Accepts(ctx, to); err != nil || done {
		return err
	}
	conn, err := connect(ctx, s.config.Login, from)
	switch {
	case rejected(err):
		return fmt.Errorf("lambda: user %q logs in neither with the current nor with the pending password: %w", from.Username, rotate.ErrMismatch)
	case err != nil:
		return fmt.Errorf("lambda: a login as %q: %w", from.Username, told(err))
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it is given up anyway
	name, err := postgres.Ident(to.Username)
	if err != nil {
		return err
	}
	verifier, err := postgres.Verifier(to.Password, nil)
	if err != nil {
		return err
	}
	text, err := postgres.Literal(verifier.Reveal())
	if err != nil {
		return err
	}
	// Users may act as a group from their login on, which may not change them.
	if _, err = conn.Exec(ctx, "set role none"); err == nil {
		_, err = conn.Exec(ctx, "alter role "+name+" password "+text)
	}
	if err != nil {
		return fmt.Errorf("lambda: the password of %q: %w", to.Username, told(err))
	}
	return nil
}

// rejected reports whether the database has rejected a login.
func rejected(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "28P01" || pg.Code == "28000")
}

// told is what of an error of pgx can be told: those of logins hold the password.
func told(err error) error {
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg):
		return pg
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return context.Canceled
	}
	return errors.New(err.Error())
}
