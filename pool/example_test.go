package pool_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

// examples is the throwaway PostgreSQL of the examples, with one user.
var examples struct {
	once   sync.Once
	server *pgserver.Server
}

func exampleServer(ctx context.Context) (dsn string, src source.Source) {
	examples.once.Do(func() {
		server, err := pgserver.Start(ctx, &pgserver.Options{Own: true})
		if err != nil {
			log.Fatal(err)
		}
		if err := server.Exec(ctx, "create role app login password 'of the day'"); err != nil {
			log.Fatal(err)
		}
		examples.server = server
	})
	return examples.server.AppDSN(), source.Static("app", source.NewSecret("of the day"))
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

func ExampleOpen() {
	ctx := context.Background()
	dsn, src := exampleServer(ctx)

	db, err := pool.Open(ctx, dsn, src, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()

	var user string
	err = db.QueryRow(ctx, "select current_user").Scan(&user)
	fmt.Println(user, err)
	// Output: app <nil>
}

// Two pools of different sizes share one refresher: one fetch, one lease.
func ExampleNew() {
	ctx := context.Background()
	dsn, src := exampleServer(ctx)

	r, err := refresh.New(ctx, src, &refresh.Options{Name: "app"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	for _, size := range []int32{2, 8} {
		config, err := pgxpool.ParseConfig(dsn)
		if err != nil {
			fmt.Println(err)
			return
		}
		config.MaxConns = size
		db, err := pool.New(ctx, config, r, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer db.Close()
		fmt.Println(db.Stat().MaxConns(), db.Health().State, db.Ping(ctx))
	}
	// Output:
	// 2 fresh <nil>
	// 8 fresh <nil>
}

func ExampleOpenDB() {
	ctx := context.Background()
	dsn, src := exampleServer(ctx)

	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := refresh.New(ctx, src, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	db, err := pool.OpenDB(ctx, pool.Postgres(config), r, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	db.SetMaxOpenConns(4)

	var user string
	err = db.QueryRowContext(ctx, "select current_user").Scan(&user)
	fmt.Println(user, err)
	// Output: app <nil>
}

// The hooks of pgx's database/sql driver are fields of the dialer.
func ExamplePostgres() {
	config, err := pgx.ParseConfig("postgres://db.internal/app?sslmode=verify-full")
	if err != nil {
		fmt.Println(err)
		return
	}
	dialer := pool.Postgres(config)
	dialer.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "set statement_timeout = '5s'")
		return err
	}
	fmt.Println(dialer.AfterConnect != nil)
	// Output: true
}

// reporter stands in for a pool.
type reporter struct{ health refresh.Health }

func (r reporter) Health() pool.Health { return pool.Health{Health: r.health} }

func ExampleHandler() {
	db := reporter{refresh.Health{Name: "orders", State: refresh.Degraded, Why: "refreshing failed 3 times in a row"}}

	http.Handle("GET /readyz", pool.Handler(db))
	answer := httptest.NewRecorder()
	http.DefaultServeMux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	fmt.Println(answer.Code) // the store is away, but statements are served
	// Output: 200
}

func ExampleLiveness() {
	db := reporter{refresh.Health{State: refresh.Expired}}

	answer := httptest.NewRecorder()
	pool.Liveness(db).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/livez", nil))
	fmt.Println(answer.Code) // a restart would not bring the store back
	// Output: 200
}

// An operator who sets the next password by hand can wait until this process
// has let go of the old one.
func ExampleManagedPool_Drained() {
	ctx := context.Background()
	dsn, src := exampleServer(ctx)
	db, err := pool.Open(ctx, dsn, src, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()

	ctx, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	fmt.Println(db.Drained(ctx, db.Health().Version)) // it is still the current one
	// Output: context deadline exceeded
}

func ExampleClassifyPostgres() {
	wrong := &pgconn.PgError{Code: "28P01"}     // invalid_password
	full := &pgconn.PgError{Code: "53300"}      // too_many_connections
	pgbouncer := &pgconn.PgError{Code: "08P01"} // whatever it was
	fmt.Println(pool.ClassifyPostgres(wrong) == pool.Rejected,
		pool.ClassifyPostgres(full) == pool.Unrelated,
		pool.ClassifyPostgres(pgbouncer) == pool.Doubtful)
	// Output: true true true
}

// Who still uses a version is seen in pg_stat_activity: application_name like '%@…'.
func ExampleVersionTag() {
	fmt.Println(pool.VersionTag("3f2a6c1e-6d1b-4c58-9d7e-0a1b2c3d4e5f"))
	// Output: 58-9d7e-0a1b2c3d4e5f
}
