package connector_test

import (
	"context"
	"database/sql/driver"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/connector"
	"github.com/rekey-go/rekey/source"
)

// pgx stands in for any driver here; pool.Postgres is the better way to use it.
func ExampleNew() {
	config, err := pgx.ParseConfig("postgres://db.internal/shop?sslmode=verify-full")
	if err != nil {
		fmt.Println(err)
		return
	}
	dialer, err := connector.New(&connector.Config{
		Open: func(_ context.Context, c source.Credential) (driver.Connector, error) {
			cc := config.Copy()
			cc.User, cc.Password = c.Username, c.Password.Reveal()
			return stdlib.GetConnector(*cc), nil
		},
		Classify: pool.ClassifyPostgres,
		Driver:   stdlib.GetDefaultDriver(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, probes := dialer.(pool.Prober)
	fmt.Println(probes) // Config.Probe is not set
	// Output: false
}
