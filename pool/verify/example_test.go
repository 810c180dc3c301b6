package verify_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/verify"
	"github.com/rekey-go/rekey/source"
)

// examples is the throwaway PostgreSQL of the examples.
var examples struct {
	once   sync.Once
	server *pgserver.Server
}

const exampleSchema = `
	create table orders (id serial primary key, item text, qty int);
	create role app login password 'of the day';
	grant select, insert, update on orders to app;
	grant usage on sequence orders_id_seq to app;
	create role app2 login password 'of the day';
	grant select, insert, update (item) on orders to app2;
	create procedure close_day() language sql as 'delete from orders'`

func exampleServer(ctx context.Context) (dsn string) {
	examples.once.Do(func() {
		server, err := pgserver.Start(ctx, &pgserver.Options{Own: true})
		if err != nil {
			log.Fatal(err)
		}
		if err := server.Exec(ctx, exampleSchema); err != nil {
			log.Fatal(err)
		}
		examples.server = server
	})
	return examples.server.AppDSN()
}

// login logs in as a user of the examples.
func login(ctx context.Context, user string) *pgx.Conn {
	config, err := pgx.ParseConfig(exampleServer(ctx))
	if err != nil {
		log.Fatal(err)
	}
	config.User, config.Password = user, "of the day"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		log.Fatal(err)
	}
	return conn
}

func closeExampleServer() (code int) {
	if examples.server == nil {
		return 0
	}
	if err := examples.server.Close(); err != nil {
		log.Println(err)
		return 1
	}
	return 0
}

// A pool takes a credential only with all the rights that the service needs.
func Example() {
	ctx := context.Background()
	db, err := pool.Open(ctx, exampleServer(ctx), source.Static("app", source.NewSecret("of the day")), &pool.Options{
		Verify: verify.All(
			verify.Privileges(verify.On("orders", "select"), verify.OnColumns("orders", []string{"item", "qty"}, "update")),
			verify.Statements("insert into orders (item, qty) values ($1, $2)"),
		),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	fmt.Println(db.Health().State)
	// Output: fresh
}

func ExamplePrivileges() {
	ctx := context.Background()
	conn := login(ctx, "app2")
	defer conn.Close(ctx)

	err := verify.Privileges(
		verify.On("orders", "select", "delete"),
		verify.OnColumns("orders", []string{"item", "qty"}, "update"),
		verify.OnSequence("orders_id_seq", "usage"),
		verify.OnFunction("close_day()"),
		verify.OnSchema("public", "usage"),
		verify.OnDatabase("", "connect"),
	)(ctx, conn)

	var lacks *verify.MissingError
	if errors.As(err, &lacks) {
		for _, m := range lacks.Missing {
			fmt.Println(m.Grant(lacks.Role))
		}
	}
	// Output:
	// GRANT delete ON table public.orders TO app2
	// GRANT update (qty) ON table public.orders TO app2
	// GRANT usage ON sequence public.orders_id_seq TO app2
}

// Planning a statement checks its rights without running it.
func ExampleStatements() {
	ctx := context.Background()
	conn := login(ctx, "app2")
	defer conn.Close(ctx)

	fmt.Println(verify.Statements("select id from orders where item = $1")(ctx, conn))
	fmt.Println(verify.Statements("delete from orders where id = $1")(ctx, conn))
	// Output:
	// <nil>
	// verify: statement 1, “delete from orders where id = $1”: ERROR: permission denied for table orders (SQLSTATE 42501)
}

// What cannot be planned is run and rolled back: here a procedure, and what it
// does inside.
func ExampleExecute() {
	ctx := context.Background()
	conn := login(ctx, "app")
	defer conn.Close(ctx)

	fmt.Println(verify.Execute("call close_day()")(ctx, conn))
	// Output:
	// verify: “call close_day()”: ERROR: permission denied for table orders (SQLSTATE 42501)
}

func ExampleAll() {
	ctx := context.Background()
	conn := login(ctx, "app")
	defer conn.Close(ctx)

	primary := func(ctx context.Context, conn *pgx.Conn) error { // a check of one's own
		var replica bool
		if err := conn.QueryRow(ctx, "select pg_is_in_recovery()").Scan(&replica); err != nil {
			return err
		}
		if replica {
			return errors.New("this server only reads")
		}
		return nil
	}
	fmt.Println(verify.All(primary, verify.Privileges(verify.On("orders", "insert")))(ctx, conn))
	// Output: <nil>
}

func ExampleLost() {
	ctx := context.Background()
	before, after := login(ctx, "app"), login(ctx, "app2")
	defer before.Close(ctx)
	defer after.Close(ctx)

	from, err := verify.RoleOf(ctx, before)
	if err != nil {
		fmt.Println(err)
		return
	}
	to, err := verify.RoleOf(ctx, after)
	if err != nil {
		fmt.Println(err)
		return
	}
	lost, err := verify.Lost(ctx, after, from, to)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, right := range lost {
		fmt.Println(right)
	}
	// Output:
	// update (id, qty) on table public.orders
	// usage on sequence public.orders_id_seq
}
