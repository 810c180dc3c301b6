package mysql_test

import (
	"context"
	"database/sql"
	"fmt"

	driver "github.com/go-sql-driver/mysql"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/mysql"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

func ExampleNew() {
	ctx := context.Background()
	config, err := driver.ParseDSN("tcp(db.internal:3306)/shop?tls=true&timeout=5s") // no user, no password
	if err != nil {
		fmt.Println(err)
		return
	}
	dialer, err := mysql.New(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	dialer.Check = func(ctx context.Context, conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, "select 1 from orders limit 0")
		return err
	}
	r, err := refresh.New(ctx, source.Env("MYSQL_USER", "MYSQL_PWD"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	db, err := pool.OpenDB(ctx, dialer, r, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	// Output: refresh: no first credential: environment: field "MYSQL_USER" is not set; it should hold the user name
}

func ExampleNewForTokens() {
	config, err := driver.ParseDSN("tcp(db.abc123.eu-central-1.rds.amazonaws.com:3306)/shop?tls=skip-verify")
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err = mysql.NewForTokens(config); err != nil {
		fmt.Println(err)
	}
	// Output: mysql: AllowCleartextPasswords is refused, as it would send the password as it is: TLS does not verify the server; set tls=true or the name of a TLS configuration that verifies the server
}

func ExampleClassify() {
	wrong := &driver.MySQLError{Number: 1045, Message: "Access denied"}
	full := &driver.MySQLError{Number: 1040, Message: "Too many connections"}
	fmt.Println(mysql.Classify(wrong) == pool.Rejected, mysql.Classify(full) == pool.Unrelated)
	// Output: true true
}
