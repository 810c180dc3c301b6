package postgres_test

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/pool/verify"
	"github.com/rekey-go/rekey/rotate"
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

// config reaches a database as the rotator's own user.
func config() *postgres.Config {
	admin, err := pgx.ParseConfig("postgres://rotator@db.internal/app?sslmode=require")
	if err != nil {
		panic(err)
	}
	login, err := pgx.ParseConfig("postgres://db.internal/app?sslmode=require")
	if err != nil {
		panic(err)
	}
	return &postgres.Config{
		Admin:  func(ctx context.Context) (*pgx.Conn, error) { return pgx.ConnectConfig(ctx, admin) },
		Login:  login,
		Verify: verify.Privileges(verify.On("orders", "select", "insert")),
	}
}

func ExampleSingleUser() {
	target, err := postgres.SingleUser(config())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s, in place: %v\n", target.Strategy().Name, target.Strategy().InPlace)
	// Output: single user, in place: true
}

func ExampleAlternating() {
	target, err := postgres.Alternating(config(), "app_blue", "app_green")
	if err != nil {
		fmt.Println(err)
		return
	}
	next, err := target.Next(context.Background(), source.Credential{Username: "app_green"}, "a rotation's token")
	fmt.Println(next.Username, err)
	// Output: app_blue <nil>
}

func ExampleParallelRole() {
	target, err := postgres.ParallelRole(config(), "app_owner")
	if err != nil {
		fmt.Println(err)
		return
	}
	next, err := target.Next(context.Background(), source.Credential{Username: "app"}, "a rotation's token")
	fmt.Println(next.Username, err)
	// Output: app_owner_7db6d816 <nil>
}

func ExampleLock() {
	target, err := postgres.SingleUser(config())
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = rotate.Config{
		Target: target,
		Lock:   postgres.Lock(config(), "orders"), // Store and Generate come here, too
	}
}

// From grants to the user itself to a group that owns everything.
func ExamplePlanMove() {
	ctx := context.Background()
	server, err := pgserver.Start(ctx, &pgserver.Options{Own: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	err = server.Exec(ctx, `create role app login; create role app_owner; create table orders (id int); create table customers (id int, name text);
		alter table orders owner to app; grant select, update (name) on customers to app`)
	if err != nil {
		fmt.Println(err)
		return
	}
	c := config()
	c.Admin = server.Admin // a superuser, this once

	move, err := postgres.PlanMove(ctx, c, "app", "app_owner")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(move) // to be read by people
	fmt.Println("applied:", move.Apply(ctx, c))
	// Output:
	// -- database postgres
	// BEGIN;
	// GRANT app_owner TO app;
	// GRANT SELECT, UPDATE (name) ON TABLE public.customers TO app_owner;
	// REASSIGN OWNED BY app TO app_owner;
	// REVOKE SELECT, UPDATE (name) ON TABLE public.customers FROM app;
	// COMMIT;
	// -- database postgres
	// BEGIN;
	// ALTER ROLE app SET role TO app_owner;
	// COMMIT;
	// applied: <nil>
}
