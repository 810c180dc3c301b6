package mysql_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"

	driver "github.com/go-sql-driver/mysql"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/mysql"
	"github.com/rekey-go/rekey/source"
)

// config reaches a server as the rotator's own user.
func config() *mysql.Config {
	admin, err := sql.Open("mysql", "rotator:s3cret@tcp(db.internal)/?tls=true")
	if err != nil {
		log.Fatal(err)
	}
	login, err := driver.ParseDSN("tcp(db.internal)/shop?tls=true")
	if err != nil {
		log.Fatal(err)
	}
	return &mysql.Config{
		Admin: admin, Login: login,
		Verify: func(ctx context.Context, conn *sql.Conn) error {
			_, err := conn.ExecContext(ctx, "SELECT id FROM orders LIMIT 1")
			return err
		},
	}
}

func ExampleDualPassword() {
	c := config()
	defer c.Admin.Close()
	target, err := mysql.DualPassword(c)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%+v\n", target.Strategy())
	// Output: {Name:dual password InPlace:false Reuses:false Leaves:true Dual:true}
}

func ExampleSingleUser() {
	c := config()
	defer c.Admin.Close()
	target, err := mysql.SingleUser(c)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%+v\n", target.Strategy())
	// Output: {Name:single user InPlace:true Reuses:false Leaves:false Dual:false}
}

func ExampleAlternating() {
	c := config()
	defer c.Admin.Close()
	target, err := mysql.Alternating(c, "app_blue", "app_green")
	if err != nil {
		log.Fatal(err)
	}
	next, err := target.Next(context.Background(), source.Credential{Username: "app_green"}, "a rotation's token")
	fmt.Println(next.Username, err)
	// Output: app_blue <nil>
}

func ExampleLock() {
	c := config()
	defer c.Admin.Close()
	target, err := mysql.DualPassword(c)
	if err != nil {
		log.Fatal(err)
	}
	_ = rotate.Config{
		Target: target,
		Lock:   mysql.Lock(c, "orders"), // Store and Generate come here, too
	}
	fmt.Println("while one rotates, the others have", rotate.ErrRunning)
	// Output: while one rotates, the others have a rotation is already running
}

func ExampleCachingSHA2Hash() {
	password := source.NewSecret("correct horse")
	hash, err := mysql.CachingSHA2Hash(password, nil)
	fmt.Println(hash, err)
	fmt.Println(mysql.Matches(hash, password))
	// Output:
	// [redacted] <nil>
	// true <nil>
}

func ExampleNativeHash() {
	hash, err := mysql.NativeHash(source.NewSecret("correct horse"))
	fmt.Println(hash, len(hash.Reveal()), err)
	// Output: [redacted] 41 <nil>
}

func ExampleMatches() {
	_, err := mysql.Matches(source.NewSecret("correct horse"), source.NewSecret("correct horse"))
	fmt.Println(err)
	// Output: mysql: not a password's hash: it is neither * with 40 hexadecimal digits (mysql_native_password) nor $A$ with rounds, salt and digest (caching_sha2_password)
}

func ExampleIdent() {
	table, err := mysql.Ident("orders`2026")
	fmt.Println("select * from "+table, err)
	// Output: select * from `orders``2026` <nil>
}

func ExampleAccount() {
	account, err := mysql.Account("o'neil", "10.0.0.%")
	fmt.Println("alter user "+account+" account lock", err)
	// Output: alter user `o'neil`@`10.0.0.%` account lock <nil>
}

func ExampleLiteral() {
	const sqlMode = "STRICT_TRANS_TABLES,NO_BACKSLASH_ESCAPES" // of this session
	comment, err := mysql.Literal(`it's in C:\temp`, sqlMode)
	fmt.Println("alter user app comment "+comment, err)
	// Output: alter user app comment 'it''s in C:\temp' <nil>
}
