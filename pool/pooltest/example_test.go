package pooltest_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/pooltest"
	"github.com/rekey-go/rekey/source"
)

// A service's first rotation test. In your code t is the argument of
// func TestOrdersSurviveRotation(t *testing.T).
func Example() {
	t := newT()
	defer t.done()

	srv := pooltest.Postgres(t)
	srv.Exec(t, `create table orders (id bigserial primary key, item text)`)
	db, err := pool.Open(t.Context(), srv.DSN(), srv.Store(), &pool.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	load := pooltest.StartLoad(t, 16, func(ctx context.Context) error { return placeOrder(ctx, db, "tea") })
	srv.Rotate(t, db)
	load.NoFailures(t)
	// Output: ok
}

// placeOrder stands for your service.
func placeOrder(ctx context.Context, db *pool.ManagedPool, item string) error {
	_, err := db.Exec(ctx, "insert into orders (item) values ($1)", item)
	return err
}

// The store lags behind the database, as it does in every rotation of a single
// user's password: calls that need a login wait for it.
func ExampleServer_ChangePassword() {
	t := newT()
	defer t.done()

	srv := pooltest.Postgres(t)
	db, err := pool.Open(t.Context(), srv.DSN(), srv.Store(), &pool.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	publish := srv.ChangePassword(t)
	db.Reset() // every connection has to log in again
	time.AfterFunc(100*time.Millisecond, publish)
	if err := db.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	srv.Drained(t, db)
	// Output: ok
}

// A service that is tested from outside is given its credential as it is in
// production: here, as the path of a file. What the server sees is the judge.
func ExamplePostgres() {
	t := newT()
	defer t.done()

	srv := pooltest.Postgres(t)
	credentials := srv.Store().File(t)
	fmt.Println("start the service with", len(srv.DSN()) > 0, len(credentials) > 0)
	srv.Rotate(t)
	// Output:
	// start the service with true true
	// ok
}

// A database in a container that the test has started and migrated.
func ExampleOn() {
	t := newT()
	defer t.done()
	containerDSN := exampleContainer(t)

	srv := pooltest.On(t, containerDSN, "app_owner") // the role that owns the tables
	db, err := pool.Open(t.Context(), srv.DSN(), srv.Store(), &pool.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	load := pooltest.StartLoad(t, 4, func(ctx context.Context) error { return placeOrder(ctx, db, "tea") })
	srv.RotateUser(t, db)
	load.NoFailures(t)
	// Output: ok
}

// A rotation of your own, here of a password, with a store in memory.
func ExampleFollows() {
	t := newT()
	defer t.done()
	srv := pooltest.Postgres(t)
	srv.Exec(t, "set role none; create role shop login password 'one'")

	store := pooltest.NewStore("shop", "one")
	db, err := pool.Open(t.Context(), srv.DSN(), store, &pool.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	srv.Exec(t, "set role none; alter role shop password 'two'")
	store.Put("shop", "two")
	pooltest.Follows(t, store, db)
	fmt.Println(db.Health().Version)
	// Output:
	// v2
	// ok
}

func ExampleNewStore() {
	store := pooltest.NewStore("app", "one")
	store.Put("app", "two")
	c, err := store.Credential(context.Background())
	fmt.Println(c, err)
	store.Fail(source.Permanent(fmt.Errorf("sealed")))
	_, err = store.Credential(context.Background())
	fmt.Println(err)
	// Output:
	// credential of user "app" version "v2" <nil>
	// sealed
}

func ExampleStartLoad() {
	t := newT()
	defer t.done()

	called := make(chan struct{}, 1)
	load := pooltest.StartLoad(t, 2, func(context.Context) error {
		select {
		case called <- struct{}{}:
		default:
		}
		return nil
	})
	<-called
	report := load.NoFailures(t)
	fmt.Println(report.Statements > 0, report.Failed)
	// Output:
	// true 0
	// ok
}

// exampleT is what examples have for a test.
type exampleT struct{ *recorder }

func newT() exampleT {
	t := exampleT{&recorder{end: time.Now().Add(time.Minute)}}
	given := os.Getenv(pgserver.EnvDSN)
	_ = os.Setenv(pgserver.EnvDSN, pgtest.Server(t).DSN()) // one server for all of them
	t.Cleanup(func() { _ = os.Setenv(pgserver.EnvDSN, given) })
	return t
}

func (t exampleT) Helper() {}

func (t exampleT) Context() context.Context { return context.Background() }

func (t exampleT) Output() io.Writer { return io.Discard }

func (t exampleT) TempDir() string {
	dir, err := os.MkdirTemp("", "pooltest-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// done cleans up and prints whether the test is good.
func (t exampleT) done() {
	p := recover()
	if why := t.over(); why != "" {
		fmt.Println(why)
	} else if p != nil {
		panic(p)
	} else {
		fmt.Println("ok")
	}
}

// exampleContainer is a database with a table and its owner.
func exampleContainer(t testing.TB) (dsn string) {
	srv := pooltest.Postgres(t)
	srv.Exec(t, `set role none;
		create role app_owner nologin;
		create table orders (id bigserial primary key, item text);
		alter table orders owner to app_owner`)
	u, err := url.Parse(srv.OwnerDSN())
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Del("options")
	u.RawQuery = q.Encode()
	return u.String()
}
