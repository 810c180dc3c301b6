package connector_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgharness"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/internal/wrapconn/wraptest"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/connector"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

func state(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func openDB(t *testing.T, d pool.Dialer, user, password string) *pool.ManagedDB {
	t.Helper()
	r, err := refresh.New(t.Context(), source.Static(user, source.NewSecret(password)), nil)
	require.NoError(t, err)
	t.Cleanup(r.Close)
	db, err := pool.OpenDB(t.Context(), d, r, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func TestForwardsEverything(t *testing.T) {
	b := pgtest.Database(t)
	b.CreateUser(b.Role("app"), "secret")
	db := openDB(t, open(t, b, ""), b.Role("app"), "secret")
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	require.NoError(t, conn.Raw(func(c any) error {
		bare := wraptest.Raw(t, c)
		require.IsType(t, &stdlib.Conn{}, bare)
		wraptest.Forwards(t, bare, c, "Conn") // pgx's own way to its connection
		return nil
	}))
	require.NoError(t, conn.Close())
}

func TestIsOnlyWhatItCan(t *testing.T) {
	_, err := connector.New(nil)
	require.Error(t, err)
	_, err = connector.New(&connector.Config{Classify: pool.ClassifyPostgres})
	require.Error(t, err)
	for _, probes := range []bool{false, true} {
		for _, compares := range []bool{false, true} {
			config := &connector.Config{
				Open:     func(context.Context, source.Credential) (driver.Connector, error) { return nil, errors.New("no") },
				Classify: func(error) pool.Verdict { return pool.Rejected },
			}
			if probes {
				config.Probe = func(context.Context, driver.Conn) error { return pool.ErrDisowned }
			}
			if compares {
				config.LostRights = func(context.Context, refresh.Snapshot, refresh.Snapshot) ([]string, error) { return []string{"x"}, nil }
			}
			d, err := connector.New(config)
			require.NoError(t, err)
			p, isProber := d.(pool.Prober)
			c, isComparer := d.(pool.RightsComparer)
			require.Equal(t, probes, isProber)
			require.Equal(t, compares, isComparer)
			if probes {
				require.ErrorIs(t, p.Probe(t.Context(), nil), pool.ErrDisowned)
			}
			if compares {
				lost, err := c.LostRights(t.Context(), refresh.Snapshot{}, refresh.Snapshot{})
				require.NoError(t, err)
				require.Equal(t, []string{"x"}, lost)
			}
			require.Equal(t, pool.Unrelated, d.Classify(nil))
			require.Equal(t, pool.Rejected, d.Classify(errors.New("x")))
			_, err = d.Driver().Open("x")
			require.Error(t, err)
			require.Error(t, d.Verify(t.Context(), refresh.Snapshot{}, nil))
		}
	}
}

// closing is a connector that wants to be closed.
type closing struct {
	driver.Connector
	closed *atomic.Int32
}

func (c closing) Close() error {
	c.closed.Add(1)
	return nil
}

func TestConnectorsAreClosed(t *testing.T) {
	b := pgtest.Database(t)
	b.CreateUser(b.Role("app"), "secret")
	config := pgharness.Config(t, b, "")
	var opened, closed atomic.Int32
	var checked error
	d, err := connector.New(&connector.Config{
		Open: func(_ context.Context, c source.Credential) (driver.Connector, error) {
			opened.Add(1)
			cc := config.Copy()
			cc.User, cc.Password = c.Username, c.Password.Reveal()
			return closing{stdlib.GetConnector(*cc), &closed}, nil
		},
		Classify: pool.ClassifyPostgres,
		Check:    func(ctx context.Context, conn *sql.Conn) error { return errors.Join(conn.PingContext(ctx), checked) },
	})
	require.NoError(t, err)
	db := openDB(t, d, b.Role("app"), "secret")
	require.NoError(t, db.PingContext(t.Context()))
	require.EqualValues(t, 2, opened.Load())
	require.EqualValues(t, 1, closed.Load(), "that of the verification")
	db.SetMaxIdleConns(-1)
	require.EqualValues(t, 2, closed.Load())

	wrong := refresh.Snapshot{Credential: source.Credential{Username: b.Role("app"), Password: source.NewSecret("wrong")}}
	require.Error(t, d.Verify(t.Context(), wrong, nil))
	require.EqualValues(t, 3, closed.Load())
	checked = fmt.Errorf("not good enough: %w", refresh.ErrRejected)
	require.ErrorIs(t, d.Verify(t.Context(), db.Refresher().Current(), nil), refresh.ErrRejected)
	checked = errors.New("cannot tell")
	require.NotErrorIs(t, d.Verify(t.Context(), db.Refresher().Current(), nil), refresh.ErrRejected)
	require.Equal(t, opened.Load(), closed.Load())
}
