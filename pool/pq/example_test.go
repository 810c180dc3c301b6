package pq_test

import (
	"context"
	"fmt"

	driver "github.com/lib/pq"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/pq"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

func ExampleNew() {
	ctx := context.Background()
	config, err := driver.NewConfig("postgres://db.internal/shop?sslmode=verify-full") // no user, no password
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := refresh.New(ctx, source.Env("PGUSER_OF_SHOP", "PGPASSWORD_OF_SHOP"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	db, err := pool.OpenDB(ctx, pq.New(config), r, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	// Output: refresh: no first credential: environment: field "PGUSER_OF_SHOP" is not set; it should hold the user name
}

func ExampleClassify() {
	wrong := &driver.Error{Code: "28P01"} // invalid_password
	full := &driver.Error{Code: "53300"}  // too_many_connections
	fmt.Println(pq.Classify(wrong) == pool.Rejected, pq.Classify(full) == pool.Unrelated)
	// Output: true true
}
