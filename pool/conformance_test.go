package pool_test

import (
	"testing"

	"github.com/rekey-go/rekey/internal/pgharness"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/dialertest"
)

func TestConformanceOfThePostgresDialer(t *testing.T) {
	dialertest.Run(t, func(t *testing.T) dialertest.Harness {
		db := pgtest.Database(t)
		h := pgharness.New(t, db)
		h.Dialer = pool.Postgres(pgharness.Config(t, db, ""))
		h.At = func(address string) pool.Dialer { return pool.Postgres(pgharness.Config(t, db, address)) }
		h.SQL.NoLastInsertID = true
		return h
	})
}
