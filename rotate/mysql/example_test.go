package mysql_test

import (
	"fmt"

	"github.com/rekey-go/rekey/rotate/mysql"
	"github.com/rekey-go/rekey/source"
)

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
