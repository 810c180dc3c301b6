package pq_test

import (
	"net"
	"strconv"
	"strings"
	"testing"

	driver "github.com/lib/pq"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/pgharness"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/dialertest"
	"github.com/rekey-go/rekey/pool/pq"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Suite{Runner: m}) }

func config(t *testing.T, db *pgtest.DB) driver.Config {
	t.Helper()
	c, err := driver.NewConfig(db.DSN)
	require.NoError(t, err)
	return c
}

func TestConformance(t *testing.T) {
	dialertest.Run(t, func(t *testing.T) dialertest.Harness {
		db := pgtest.Database(t)
		h := pgharness.New(t, db)
		h.Dialer = pq.New(config(t, db))
		h.At = func(address string) pool.Dialer {
			c := config(t, db)
			host, port, err := net.SplitHostPort(address)
			require.NoError(t, err)
			n, err := strconv.ParseUint(port, 10, 16)
			require.NoError(t, err)
			c.Host, c.Port = host, uint16(n)
			return pq.New(c)
		}
		h.SQL.NoLastInsertID = true
		h.Password = normal
		return h
	})
}

// normal is a text in which all blanks are ASCII ones, to which PostgreSQL
// normalizes them before it compares passwords; lib/pq does not.
func normal(text string) string {
	return strings.NewReplacer("\u00a0", " ", "\u3000", " ").Replace(text)
}
