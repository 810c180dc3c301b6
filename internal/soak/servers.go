package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/rekey-go/rekey/examples/vault/setup"
	"github.com/rekey-go/rekey/internal/faults"
	"github.com/rekey-go/rekey/internal/mysqlserver"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/mysql"
	"github.com/rekey-go/rekey/rotate/vaultkv"
	"github.com/rekey-go/rekey/source"
)

// lives are short, so that users and tokens end all the time, and long enough
// to get over what is done to Vault.
var lives = setup.Options{
	TTL: 20 * time.Second, MaxTTL: time.Minute,
	TokenTTL: time.Minute, TokenMaxTTL: 3 * time.Minute,
	Log: os.Stderr,
}

// policy is what the services need beside what the one of the example does.
const policy = `path "secret/data/mariadb" { capabilities = ["read"] }`

// startServers starts PostgreSQL with Vault, and MariaDB, each with its orders.
func (s *soak) startServers(ctx context.Context) (err error) {
	if s.dir, err = os.MkdirTemp("", "rekey-soak-*"); err != nil {
		return err
	}
	s.file = filepath.Join(s.dir, "credential.json")
	if s.lab, err = setup.Start(ctx, lives); err != nil {
		return err
	}
	s.written.secret(source.NewSecret(s.lab.Vault.RootToken()))
	if s.toVault, err = faults.NewProxy("vault", strings.TrimPrefix(s.lab.Vault.Addr(), "http://")); err != nil {
		return err
	}
	if s.roleID, s.secretID, err = s.lab.AppRole(ctx, "soak", setup.Policy+policy, lives); err != nil {
		return err
	}
	s.written.secret(source.NewSecret(s.secretID))
	if err := s.orders(ctx); err != nil {
		return fmt.Errorf("PostgreSQL: %w", err)
	}
	if s.mariadb, err = mysqlserver.Start(ctx, &mysqlserver.Options{Own: true, Log: os.Stderr}); err != nil {
		return err
	}
	return nil
}

// orders makes a table in PostgreSQL that the users of both services may read.
func (s *soak) orders(ctx context.Context) error {
	admin, err := s.admin(ctx)
	if err != nil {
		return err
	}
	defer admin.Close(ctx)
	_, err = admin.Exec(ctx, `create table orders (id bigint primary key, item text not null);
		insert into orders values (1, 'tea'); alter table orders owner to app_owner;
		create role file_owner nologin; grant connect on database app to file_owner; grant select on orders to file_owner`)
	return err
}

// startRotators makes the first credentials of what is rotated, and the rotators.
func (s *soak) startRotators(ctx context.Context) error {
	rotatorPassword, first := s.draw(), s.draw()
	admin, err := s.admin(ctx)
	if err != nil {
		return err
	}
	defer admin.Close(ctx)
	if _, err := admin.Exec(ctx, `create role rotator login createrole in role pg_read_all_stats password '`+rotatorPassword+`';
		grant connect on database app to rotator;
		create role file_first login in role file_owner password '`+first+`'; alter role file_first set role to file_owner;
		grant file_owner, file_first to rotator with admin option`); err != nil {
		return errors.New("PostgreSQL: the rotator's user cannot be made") // the statement has passwords
	}
	text, err := json.Marshal(map[string]string{"username": "file_first", "password": first})
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.file, text, 0o600); err != nil {
		return err
	}
	u, err := url.Parse(s.lab.DSN())
	if err != nil {
		return err
	}
	u.User = url.UserPassword("rotator", rotatorPassword)
	s.rotator = &rotator{written: s.written, job: job{File: s.file, Admin: u.String(), Login: s.lab.DSN(), Group: "file_owner"}}
	return s.startOwn(ctx)
}

// startOwn makes the credential that this process rotates.
func (s *soak) startOwn(ctx context.Context) error {
	rotatorPassword, first := s.draw(), s.draw()
	for _, statement := range []string{
		"create database app", "create table app.orders (id bigint primary key, item text not null)", "insert into app.orders values (1, 'tea')",
		"create user app identified by '" + first + "'", "grant select on app.orders to app",
		"create user rotator identified by '" + rotatorPassword + "'", "grant create user, process on *.* to rotator",
		"create database rekey", "grant create, select, insert, update on rekey.* to rotator",
	} {
		if err := s.mariadb.Exec(ctx, statement); err != nil {
			return errors.New("MariaDB: the users cannot be made") // the statement may have a password
		}
	}
	root := s.lab.Vault
	if _, err := root.Do(ctx, "PUT", "sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]any{"version": "2"}}); err != nil {
		return err
	}
	content := map[string]any{"username": "app", "password": first}
	var err error
	// The engine needs a moment to get ready.
	if waitErr := s.eventually(ctx, "the key-value engine writes", func() bool {
		_, err = root.Do(ctx, "PUT", "secret/data/mariadb", map[string]any{"data": content})
		return err == nil
	}); waitErr != nil {
		return errors.Join(waitErr, err)
	}
	for _, path := range []string{"secret/metadata/mariadb", "secret/metadata/mariadb-rekey"} { // so that Vault does not grow
		if _, err := root.Do(ctx, "PUT", path, map[string]any{"max_versions": 2}); err != nil {
			return err
		}
	}

	adminConfig := s.mariadb.AppConfig("")
	adminConfig.User, adminConfig.Passwd, adminConfig.Logger = "rotator", rotatorPassword, driverLog{s.written}
	connector, err := driver.NewConnector(adminConfig)
	if err != nil {
		return err
	}
	s.own = &ownRotator{admin: sql.OpenDB(connector), logger: s.logger}
	login := s.mariadb.AppConfig("app")
	login.Logger = adminConfig.Logger
	target, err := mysql.DualPassword(&mysql.Config{Admin: s.own.admin, Login: login})
	if err != nil {
		return err
	}
	client, err := s.vaultClient()
	if err != nil {
		return err
	}
	client.SetToken(root.RootToken())
	s.own.config = rotate.Config{
		Store: vaultkv.New(client, "secret", "mariadb", nil), Target: target, Generate: drawn, Audit: audit(s.logger),
		Poll: 20 * time.Millisecond, StepTimeout: 5 * time.Second, DrainTimeout: time.Minute,
	}
	return nil
}

// draw is a password that is looked for.
func (s *soak) draw() string {
	password := canary + rand.Text()
	s.written.secret(source.NewSecret(password))
	return password
}

// An ownRotator rotates in this process and knows the pool.
type ownRotator struct {
	config rotate.Config
	admin  *sql.DB
	logger *slog.Logger
	tally  tally

	stop    context.CancelFunc
	running sync.WaitGroup
}

func (o *ownRotator) start(pool rotate.Pool) {
	ctx, stop := context.WithCancel(context.Background())
	o.stop = stop
	o.config.Pools = []rotate.Pool{pool}
	o.running.Go(func() {
		r, err := rotate.New(&o.config)
		if err != nil {
			o.logger.Error("no rotator", "error", err)
			o.tally.Failed.Add(1)
			return
		}
		turn(ctx, r, o.logger, o.tally.add)
	})
}

func (o *ownRotator) close() error {
	if o.stop != nil {
		o.stop()
		o.running.Wait()
	}
	return o.admin.Close()
}
