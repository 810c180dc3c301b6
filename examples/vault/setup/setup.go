// Package setup starts PostgreSQL and Vault and does what an administrator does
// once so that an application gets its database users from Vault. The files
// beside it are those that the README shows.
package setup

import (
	"context"
	"crypto/rand"
	_ "embed" // the files
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/vaultserver"
)

// What the administrator writes.
var (
	//go:embed postgres.sql
	Postgres string // statements for the database server
	//go:embed creation.sql
	Creation string // of a user
	//go:embed renew.sql
	Renew string // of a user
	//go:embed revocation.sql
	Revocation string // of a user
	//go:embed policy.hcl
	Policy string // what the application may do in Vault
	//go:embed agent.hcl
	Agent string // Vault Agent's configuration to write a file
	//go:embed proxy.hcl
	Proxy string // Vault Proxy's configuration
)

// Path is where the application reads its user.
const Path = "database/creds/app"

// Options are the lives of users and tokens, in whole seconds. Zero: Vault's
// 768 h.
type Options struct {
	TTL, MaxTTL           time.Duration // of a user
	TokenTTL, TokenMaxTTL time.Duration // of a login
	Log                   io.Writer     // is told when a server has to be built or installed; nil: nobody is
}

// A Lab is a throwaway PostgreSQL and a throwaway Vault that makes users in it.
type Lab struct {
	Postgres *pgserver.Server
	Vault    *vaultserver.Server

	RoleID, SecretID string // of the application, for AppRole
}

// Start starts the servers and sets them up. The context governs the start only.
func Start(ctx context.Context, o Options) (*Lab, error) {
	lab, password, err := Servers(ctx, o.Log)
	if err != nil {
		return nil, err
	}
	if err := lab.setUp(ctx, o, password); err != nil {
		return nil, errors.Join(err, lab.Close())
	}
	return lab, nil
}

// Servers starts the servers with postgres.sql done and nothing in Vault, and
// returns the password of the user vault.
func Servers(ctx context.Context, log io.Writer) (lab *Lab, password string, err error) {
	started := new(Lab)
	defer func() {
		if err != nil {
			err = errors.Join(err, started.Close())
		}
	}()
	if started.Postgres, err = pgserver.Start(ctx, &pgserver.Options{Own: true, Log: log}); err != nil {
		return nil, "", err
	}
	if started.Vault, err = vaultserver.Start(ctx, &vaultserver.Options{Own: true, Log: log}); err != nil {
		return nil, "", err
	}
	password = rand.Text()
	for _, statement := range append(strings.Split(Postgres, ";\n"), "alter role vault password '"+password+"'") {
		if err := started.Postgres.Exec(ctx, statement); err != nil {
			return nil, "", fmt.Errorf("setup: postgres.sql: %w", err)
		}
	}
	return started, password, nil
}

// setUp does what setup.sh does.
func (l *Lab) setUp(ctx context.Context, o Options, password string) error {
	if err := l.engine(ctx, o, password); err != nil {
		return err
	}
	if err := l.write(ctx, "sys/auth/approle", object{"type": "approle"}); err != nil {
		return err
	}
	var err error
	l.RoleID, l.SecretID, err = l.AppRole(ctx, "app", Policy, o)
	return err
}

// engine sets up Vault's database engine.
func (l *Lab) engine(ctx context.Context, o Options, password string) error {
	if err := l.write(ctx, "sys/mounts/database", object{"type": "database"}); err != nil {
		return err
	}
	err := l.write(ctx, "database/config/app", object{
		"plugin_name":             "postgresql-database-plugin",
		"connection_url":          strings.Replace(l.DSN(), "://", "://{{username}}:{{password}}@", 1),
		"username":                "vault",
		"password":                password,
		"password_authentication": "scram-sha-256",
		"username_template":       "{{.RoleName}}-{{unix_time}}-{{random 8}}",
		"allowed_roles":           "app",
	})
	if err != nil {
		return err
	}
	if err := l.write(ctx, "database/rotate-root/app", nil); err != nil {
		return err
	}
	return l.write(ctx, "database/roles/app", object{
		"db_name":               "app",
		"default_ttl":           o.TTL.String(),
		"max_ttl":               o.MaxTTL.String(),
		"creation_statements":   Creation,
		"renew_statements":      Renew,
		"revocation_statements": Revocation,
	})
}

// AppRole makes a way to log in that lets an application do what a policy says
// and no more.
func (l *Lab) AppRole(ctx context.Context, name, policy string, o Options) (roleID, secretID string, err error) {
	if err := l.write(ctx, "sys/policies/acl/"+name, object{"policy": policy}); err != nil {
		return "", "", err
	}
	path := "auth/approle/role/" + name
	err = l.write(ctx, path, object{
		"token_policies":          name,
		"token_no_default_policy": true,
		"token_ttl":               o.TokenTTL.String(),
		"token_max_ttl":           o.TokenMaxTTL.String(),
	})
	if err != nil {
		return "", "", err
	}
	role, err := l.Vault.Do(ctx, "GET", path+"/role-id", nil)
	if err != nil {
		return "", "", err
	}
	secret, err := l.Vault.Do(ctx, "PUT", path+"/secret-id", nil)
	if err != nil {
		return "", "", err
	}
	roleID, _ = role.Data["role_id"].(string)
	secretID, _ = secret.Data["secret_id"].(string)
	return roleID, secretID, nil
}

type object = map[string]any

func (l *Lab) write(ctx context.Context, path string, in any) error {
	_, err := l.Vault.Do(ctx, "PUT", path, in)
	return err
}

// DSN is the application's database, without user and password.
func (l *Lab) DSN() string { return l.Postgres.DatabaseDSN("app") }

// Client is a client without a token. In life api.NewClient(nil) is enough,
// which takes VAULT_ADDR and the like from the environment.
func (l *Lab) Client() (*api.Client, error) {
	config := api.DefaultConfig()
	if config.Error != nil {
		return nil, config.Error
	}
	config.Address = l.Vault.Addr()
	client, err := api.NewClient(config)
	if err == nil {
		client.ClearToken()
	}
	return client, err
}

// Users are the users that Vault has made and that still exist.
func (l *Lab) Users(ctx context.Context) (users []string, err error) {
	err = l.Postgres.Do(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `select u.rolname from pg_auth_members m join pg_roles u on u.oid = m.member
			join pg_roles g on g.oid = m.roleid where g.rolname = 'app_owner' and u.rolname <> 'vault'`)
		if err != nil {
			return err
		}
		users, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return users, err
}

// Close ends the servers. It may be called more than once.
func (l *Lab) Close() (err error) {
	if l.Vault != nil {
		err = l.Vault.Close()
	}
	if l.Postgres != nil {
		err = errors.Join(err, l.Postgres.Close())
	}
	return err
}
