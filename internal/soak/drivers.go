package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/api/auth/approle"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/lib/pq"

	"github.com/rekey-go/rekey/internal/faults"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/mysql"
	poolpq "github.com/rekey-go/rekey/pool/pq"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/file"
	"github.com/rekey-go/rekey/source/vault"
)

func (s *soak) poolOptions() *pool.Options {
	return &pool.Options{Logger: s.logger, Trace: s.telemetry.Trace}
}

// query is what all services ask.
const query = "select item from orders where id = 1"

// got checks what came back.
func got(item string, err error) error {
	if err == nil && item != "tea" {
		return errors.New("the wrong order")
	}
	return err
}

// startVault starts the service whose users Vault makes.
func (s *soak) startVault(ctx context.Context) error {
	v, err := s.newService(byVault, hostPort(s.lab.Postgres.Addr()))
	if err != nil {
		return err
	}
	session, err := s.login(ctx)
	if err != nil {
		return err
	}
	s.session = session
	client, err := s.vaultClient()
	if err != nil {
		return err
	}
	if err := v.follow(ctx, s, vault.Dynamic(client, "database/creds/app", &vault.Options{Session: session, Logger: s.logger})); err != nil {
		return err
	}
	config, err := pgxpool.ParseConfig(through(s.lab.DSN(), v.proxy))
	if err != nil {
		return err
	}
	config.MaxConns = int32(s.conns)
	config.ConnConfig.Tracer = v.witness
	p, err := pool.New(ctx, config, v.refresher, s.poolOptions())
	if err != nil {
		return err
	}
	v.statement = func(ctx context.Context) error {
		return v.witness.Watch(ctx, func(ctx context.Context) error {
			var item string
			err := p.QueryRow(ctx, query).Scan(&item)
			return got(item, err)
		})
	}
	return v.use(s, p)
}

// startFile starts the service whose file a rotator writes.
func (s *soak) startFile(ctx context.Context) error {
	v, err := s.newService(byFile, hostPort(s.lab.Postgres.Addr()))
	if err != nil {
		return err
	}
	if err := v.follow(ctx, s, file.JSON(s.file, &file.Options{Logger: s.logger})); err != nil {
		return err
	}
	config, err := pq.NewConfig(through(s.lab.DSN(), v.proxy))
	if err != nil {
		return err
	}
	return v.useDB(ctx, s, poolpq.New(config))
}

// startMariaDB starts the service whose secret in Vault this process rotates.
func (s *soak) startMariaDB(ctx context.Context) error {
	config := s.mariadb.AppConfig("app")
	v, err := s.newService(byMariaDB, config.Addr)
	if err != nil {
		return err
	}
	config.Addr, config.Logger = v.proxy.Listen, driverLog{s.written}
	client, err := s.vaultClient()
	if err != nil {
		return err
	}
	src := vault.KV(client, "secret", "mariadb", &vault.Options{Session: s.session, Poll: time.Second, Logger: s.logger})
	if err := v.follow(ctx, s, src); err != nil {
		return err
	}
	dialer, err := mysql.New(config)
	if err != nil {
		return err
	}
	return v.useDB(ctx, s, dialer)
}

// driverLog takes what go-sql-driver would write to standard error.
type driverLog struct{ out *output }

func (l driverLog) Print(v ...any) { fmt.Fprintln(l.out, v...) }

func (v *service) useDB(ctx context.Context, s *soak, d faults.Dialer) error {
	db, err := pool.OpenDB(ctx, v.witness.Dialer(d), v.refresher, s.poolOptions())
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(s.conns)
	db.SetMaxIdleConns(s.conns)
	v.statement = func(ctx context.Context) error {
		return v.witness.WatchDB(ctx, db.DB, func(ctx context.Context, conn *sql.Conn) error {
			var item string
			err := conn.QueryRowContext(ctx, query).Scan(&item)
			return got(item, err)
		})
	}
	return v.use(s, db)
}

// login logs in to Vault, through the proxy.
func (s *soak) login(ctx context.Context) (*vault.Session, error) {
	client, err := s.vaultClient()
	if err != nil {
		return nil, err
	}
	method, err := approle.NewAppRoleAuth(s.roleID, &approle.SecretID{FromString: s.secretID})
	if err != nil {
		return nil, err
	}
	return vault.Login(ctx, client, overheard{method, s.written}, &vault.LoginOptions{Logger: s.logger})
}

// overheard has the tokens of all logins be secrets.
type overheard struct {
	api.AuthMethod
	written *output
}

func (o overheard) Login(ctx context.Context, client *api.Client) (*api.Secret, error) {
	secret, err := o.AuthMethod.Login(ctx, client)
	if err == nil {
		o.written.secret(source.NewSecret(secret.Auth.ClientToken))
	}
	return secret, err
}

// vaultClient is a client through the proxy, without a token.
func (s *soak) vaultClient() (*api.Client, error) {
	config := api.DefaultConfig()
	if config.Error != nil {
		return nil, config.Error
	}
	config.Address = "http://" + s.toVault.Listen
	client, err := api.NewClient(config)
	if err != nil {
		return nil, err
	}
	client.ClearToken()
	s.vaultClients = append(s.vaultClients, client)
	return client, nil
}

func hostPort(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// through is a URL by way of a proxy.
func through(dsn string, p faults.Proxy) string {
	u, err := url.Parse(dsn)
	if err != nil {
		panic(err) // the text comes from a url.URL
	}
	u.Host = p.Listen
	return u.String()
}
