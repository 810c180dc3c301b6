package connector_test

import (
	"context"
	"database/sql/driver"
	"testing"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/pgharness"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/connector"
	"github.com/rekey-go/rekey/pool/dialertest"
	"github.com/rekey-go/rekey/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Suite{Runner: m}) }

// open is how a user of pgx's driver for database/sql would write it. Its
// connections are no driver.Validator.
func open(t *testing.T, db *pgtest.DB, address string) pool.Dialer {
	t.Helper()
	config := pgharness.Config(t, db, address)
	d, err := connector.New(&connector.Config{
		Open: func(_ context.Context, c source.Credential) (driver.Connector, error) {
			cc := config.Copy()
			cc.User, cc.Password = c.Username, c.Password.Reveal()
			return stdlib.GetConnector(*cc), nil
		},
		Classify: pool.ClassifyPostgres,
		Driver:   stdlib.GetDefaultDriver(),
		Probe: func(ctx context.Context, conn driver.Conn) error {
			_, err := conn.(*stdlib.Conn).Conn().Exec(ctx, "select session_user")
			if state(err) == "42704" {
				return pool.ErrDisowned
			}
			return err
		},
	})
	require.NoError(t, err)
	return d
}

func TestConformance(t *testing.T) {
	dialertest.Run(t, func(t *testing.T) dialertest.Harness {
		db := pgtest.Database(t)
		h := pgharness.New(t, db)
		h.Dialer = open(t, db, "")
		h.At = func(address string) pool.Dialer { return open(t, db, address) }
		h.SQL.NoLastInsertID = true
		return h
	})
}
