// Package sql stands in for database/sql in pgx's own tests: the same names,
// but each DB is a managed one, whose credential comes from a source, through a
// refresher.
package sql

import (
	"context"
	"database/sql"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/internal/judges/managed/pgxpool"
	"github.com/rekey-go/rekey/pool"
)

// Types that managed pools share with those that they embed.
type (
	// Conn is database/sql's.
	Conn = sql.Conn
	// IsolationLevel is database/sql's.
	IsolationLevel = sql.IsolationLevel
	// NullInt32 is database/sql's.
	NullInt32 = sql.NullInt32
	// NullInt64 is database/sql's.
	NullInt64 = sql.NullInt64
	// NullString is database/sql's.
	NullString = sql.NullString
	// NullTime is database/sql's.
	NullTime = sql.NullTime
	// RawBytes is database/sql's.
	RawBytes = sql.RawBytes
	// Rows is database/sql's.
	Rows = sql.Rows
	// Scanner is database/sql's.
	Scanner = sql.Scanner
	// Stmt is database/sql's.
	Stmt = sql.Stmt
	// Tx is database/sql's.
	Tx = sql.Tx
	// TxOptions is database/sql's.
	TxOptions = sql.TxOptions
)

// Constants and errors of database/sql.
const (
	LevelDefault         = sql.LevelDefault
	LevelReadUncommitted = sql.LevelReadUncommitted
	LevelReadCommitted   = sql.LevelReadCommitted
	LevelWriteCommitted  = sql.LevelWriteCommitted
	LevelRepeatableRead  = sql.LevelRepeatableRead
	LevelSnapshot        = sql.LevelSnapshot
	LevelSerializable    = sql.LevelSerializable
	LevelLinearizable    = sql.LevelLinearizable
)

// Errors of database/sql.
var (
	ErrNoRows = sql.ErrNoRows
	ErrTxDone = sql.ErrTxDone
)

// A DB is a managed DB that closes its refresher with itself.
type DB struct {
	*pool.ManagedDB
	close func() error
}

// Close stands in for [sql.DB.Close].
func (db *DB) Close() error { return db.close() }

// Registered are the configurations that go by a name of their own.
var Registered sync.Map // of *pgx.ConnConfig by string

// Open stands in for [sql.Open]. The names are those of pgx's driver.
func Open(driverName, dataSourceName string) (*DB, error) {
	if driverName != "pgx" && driverName != "pgx/v5" {
		return nil, fmt.Errorf("unknown driver %q", driverName)
	}
	if config, ok := Registered.Load(dataSourceName); ok {
		return OpenConfig(config.(*pgx.ConnConfig), nil)
	}
	config, err := pgx.ParseConfig(dataSourceName)
	if err != nil {
		return nil, err
	}
	return OpenConfig(config, nil)
}

// OpenConfig makes a DB of config, with hooks that set may put into its dialer.
func OpenConfig(config *pgx.ConnConfig, set func(*pool.PostgresDialer)) (*DB, error) {
	ctx := context.Background() // database/sql has none for this
	config = config.Copy()
	r, err := pgxpool.Refresher(ctx, config)
	if err != nil {
		return nil, err
	}
	dialer := pool.Postgres(config)
	if set != nil {
		set(dialer)
	}
	db, err := pool.OpenDB(ctx, dialer, r, &pool.Options{Logger: pgxpool.Quiet})
	if err != nil {
		r.Close()
		return nil, err
	}
	return &DB{ManagedDB: db, close: func() error {
		err := db.Close()
		r.Close()
		return err
	}}, nil
}

// Wrap makes a DB of one that is managed in another way.
func Wrap(db *sql.DB) *DB {
	return &DB{ManagedDB: &pool.ManagedDB{DB: db}, close: db.Close}
}
