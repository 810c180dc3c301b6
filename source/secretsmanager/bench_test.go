package secretsmanager_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// What a rejected login costs until the next one succeeds, when the store has
// the new password already: one fetch and one login by rekey, beside what an
// application does that reads by the cache of AWS and refreshes it then.
//
//	go test ./source/secretsmanager -run '^$' -bench Recovery -benchtime 10x
func BenchmarkRecoveryAfterARejectedLogin(b *testing.B) {
	b.Run("rekey", func(b *testing.B) {
		lab := newBench(b)
		p := lab.open(1, nil)
		for n := 0; b.Loop(); n++ {
			b.StopTimer()
			lab.rotate(n)
			p.Reset()
			b.StartTimer()
			if err := query(b.Context(), p); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("secretcache", func(b *testing.B) {
		lab := newBench(b)
		cache := cacheOf(b, lab)
		dial := func() error {
			text, err := cache.GetSecretStringWithContext(b.Context(), name)
			require.NoError(b, err)
			var secret struct{ Username, Password string }
			require.NoError(b, json.Unmarshal([]byte(text), &secret))
			config, err := pgx.ParseConfig(lab.db.DSN)
			require.NoError(b, err)
			config.User, config.Password = secret.Username, secret.Password
			conn, err := pgx.ConnectConfig(b.Context(), config)
			if err != nil {
				return err
			}
			return conn.Close(context.WithoutCancel(b.Context()))
		}
		require.NoError(b, dial())
		for n := 0; b.Loop(); n++ {
			b.StopTimer()
			lab.rotate(n)
			b.StartTimer()
			for dial() != nil {
				cache.RefreshNow(name)
			}
		}
	})
}

// rotate changes the password in the database and in the store.
func (b *bench) rotate(n int) {
	password := fmt.Sprint("rotated-", n)
	b.set("app", password)
	b.put(b.login("app", password))
}
