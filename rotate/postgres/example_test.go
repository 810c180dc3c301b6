package postgres_test

import (
	"fmt"

	"github.com/rekey-go/rekey/rotate/postgres"
	"github.com/rekey-go/rekey/source"
)

func ExampleVerifier() {
	password := source.NewSecret("correct horse")
	verifier, err := postgres.Verifier(password, nil)
	fmt.Println(verifier, err)
	fmt.Println(postgres.CheckVerifier(verifier))
	fmt.Println(postgres.Matches(verifier, password))

	_, err = postgres.Verifier(source.NewSecret("größe"), nil)
	fmt.Println(err)
	// Output:
	// [redacted] <nil>
	// <nil>
	// true <nil>
	// postgres: the password has a character that is not printable ASCII (byte 3): SASLprep (RFC 4013) may change or forbid it, and not every driver follows it; generate a password of printable ASCII
}

func ExampleCheckVerifier() {
	fmt.Println(postgres.CheckVerifier(source.NewSecret("SCRAM-SHA-256$4096:c2FsdA==$AAAA:AAAA")))
	// Output: postgres: not a verifier: its StoredKey has 3 bytes; it should have 32
}

func ExampleIdent() {
	role, err := postgres.Ident(`o"neil`)
	fmt.Println("alter role "+role+" nologin", err)
	// Output: alter role "o""neil" nologin <nil>
}

func ExampleLiteral() {
	comment, err := postgres.Literal(`it's in C:\temp`)
	fmt.Println("comment on role app is"+comment, err)
	// Output: comment on role app is E'it''s in C:\\temp' <nil>
}
