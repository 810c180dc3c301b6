package main

import (
	"context"
	"errors"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/api/auth/approle"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/source/vault"
)

// A service is what an application does about its database user, and all of it:
// log in to Vault, open the pool, and at the end give everything back.
type service struct {
	session *vault.Session
	db      *pool.ManagedPool // for life, whatever users come and go
}

func start(ctx context.Context, client *api.Client, roleID, secretID, dsn string, opts *pool.Options) (*service, error) {
	method, err := approle.NewAppRoleAuth(roleID, &approle.SecretID{FromString: secretID})
	if err != nil {
		return nil, err
	}
	session, err := vault.Login(ctx, client, method, &vault.LoginOptions{Logger: opts.Logger})
	if err != nil {
		return nil, err
	}
	src := vault.Dynamic(client, "database/creds/app", &vault.Options{Session: session})
	db, err := pool.Open(ctx, dsn, src, opts)
	if err != nil {
		session.Close()
		return nil, err
	}
	return &service{session, db}, nil
}

// stop returns when all connections are closed and all leases are revoked, and
// says what could not be done before ctx ends.
func (s *service) stop(ctx context.Context) error {
	err := s.db.Shutdown(ctx)
	return errors.Join(err, s.session.Shutdown(ctx)) // after the pool: the leases end with the token
}

// migrate makes what the application needs in its database. The table belongs
// to app_owner, not to the user of the moment.
func (s *service) migrate(ctx context.Context) error {
	_, err := s.db.Exec(ctx, "create table if not exists orders (id bigint primary key, item text not null)")
	if err == nil {
		_, err = s.db.Exec(ctx, "insert into orders values (1, 'tea') on conflict do nothing")
	}
	return err
}

// statement is what the application does all day.
func (s *service) statement(ctx context.Context) error {
	var item string
	err := s.db.QueryRow(ctx, "select item from orders where id = $1", 1).Scan(&item)
	if err == nil && item != "tea" {
		return errors.New("the wrong order")
	}
	return err
}
