package vault_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/hashicorp/vault/api"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/vaultserver"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/source/vault"
)

// examples are the throwaway servers of the examples: Vault with a database
// engine over a PostgreSQL.
var examples struct {
	once     sync.Once
	postgres *pgserver.Server
	vault    *vaultserver.Server
}

// exampleClient returns a client for a Vault with the dynamic role "app", the
// static role "report" and the secret "app"; in life NewClient(nil) is enough.
func exampleClient() *api.Client {
	examples.once.Do(func() {
		ctx := context.Background()
		must := func(err error) {
			if err != nil {
				log.Fatal(err)
			}
		}
		var err error
		examples.postgres, err = pgserver.Start(ctx, &pgserver.Options{Own: true})
		must(err)
		examples.vault, err = vaultserver.Start(ctx, &vaultserver.Options{Own: true, Log: os.Stderr})
		must(err)
		must(examples.postgres.Exec(ctx, `create role app_owner nologin; create role report login;
			create role vault login createrole password 'of vault'; grant app_owner to vault with admin option`))
		type object = map[string]any
		for _, step := range []struct {
			path string
			body object
		}{
			{"sys/mounts/database", object{"type": "database"}},
			{"database/config/app", object{
				"plugin_name": "postgresql-database-plugin", "allowed_roles": "app,report",
				"connection_url": strings.Replace(examples.postgres.AppDSN(), "://", "://{{username}}:{{password}}@", 1),
				"username":       "vault", "password": "of vault", "password_authentication": "scram-sha-256",
			}},
			{"database/roles/app", object{
				"db_name": "app", "default_ttl": "1h", "max_ttl": "24h",
				"creation_statements":   `create role "{{name}}" login password '{{password}}' valid until '{{expiration}}' in role app_owner`,
				"revocation_statements": `drop role if exists "{{name}}"`,
			}},
			{"database/static-roles/report", object{"db_name": "app", "username": "report", "rotation_period": "24h"}},
			{"sys/mounts/secret", object{"type": "kv", "options": object{"version": "2"}}},
			{"secret/data/app", object{"data": object{"user": "app", "pass": "s3cret", "host": "db.internal"}}},
			{"sys/auth/approle", object{"type": "approle"}},
			{"sys/policies/acl/app", object{"policy": `path "database/creds/app" { capabilities = ["read"] }
				path "sys/leases/revoke" { capabilities = ["update"] }`}},
			{"auth/approle/role/app", object{"token_policies": "app", "token_ttl": "1h", "bind_secret_id": false, "secret_id_bound_cidrs": "127.0.0.1/32", "token_bound_cidrs": "127.0.0.1/32"}},
			{"auth/approle/role/app/role-id", object{"role_id": "app"}},
		} {
			_, err := examples.vault.Do(ctx, "POST", step.path, step.body)
			must(err)
		}
	})
	config := api.DefaultConfig()
	config.Address = examples.vault.Addr()
	client, err := api.NewClient(config)
	if err != nil {
		log.Fatal(err)
	}
	client.SetToken(examples.vault.RootToken())
	return client
}

func closeExampleServers() (code int) {
	if examples.vault == nil {
		return 0
	}
	for _, close := range []func() error{examples.vault.Close, examples.postgres.Close} {
		if err := close(); err != nil {
			log.Println(err)
			code = 1
		}
	}
	return code
}

func ExampleDynamic() {
	ctx := context.Background()
	client := exampleClient()

	src := vault.Dynamic(client, "database/creds/app", nil)
	db, err := pool.Open(ctx, examples.postgres.AppDSN(), src, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close() // revokes the lease

	var fresh bool
	err = db.QueryRow(ctx, "select current_user like 'v-%'").Scan(&fresh)
	fmt.Println(fresh, db.Health().Reason, err)
	// Output: true lease <nil>
}

func ExampleStatic() {
	client := exampleClient()

	src := vault.Static(client, "database/static-creds/report", nil)
	c, err := src.Credential(context.Background())
	fmt.Println(c.Username, c.Version != "", c.Recheck.After(c.Issued), err)
	// Output: report true true <nil>
}

func ExampleKV() {
	client := exampleClient()

	src := vault.KV(client, "secret", "app", &vault.Options{UsernameField: "user", PasswordField: "pass"})
	c, err := src.Credential(context.Background())
	host, _ := c.Field("host")
	fmt.Println(c.Username, c.Password, c.Version, host.Reveal(), err)
	// Output: app [redacted] 1 db.internal <nil>
}

// roleID logs in by AppRole. Packages below github.com/hashicorp/vault/api/auth
// have ready methods for AppRole, Kubernetes, AWS and others.
type roleID string

func (id roleID) Login(ctx context.Context, client *api.Client) (*api.Secret, error) {
	return client.Logical().WriteWithContext(ctx, "auth/approle/login", map[string]any{"role_id": string(id)})
}

// One login serves all sources of the process. Close it after the pools.
func ExampleLogin() {
	ctx := context.Background()
	client := exampleClient()

	session, err := vault.Login(ctx, client, roleID("app"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Close()
	src := vault.Dynamic(client, "database/creds/app", &vault.Options{Session: session})
	db, err := pool.Open(ctx, examples.postgres.AppDSN(), src, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	fmt.Println(db.Ping(ctx), session.Health().Valid, session.Health().Logins)
	// Output: <nil> true 1
}

// The token that Vault Agent writes to its sink.
func ExampleTokenFile() {
	ctx := context.Background()
	client := exampleClient()
	dir, err := os.MkdirTemp("", "rekey-example-*")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	sink := filepath.Join(dir, "sink")
	if err := os.WriteFile(sink, []byte(client.Token()), 0o600); err != nil {
		fmt.Println(err)
		return
	}

	session, err := vault.Login(ctx, client, vault.TokenFile(sink), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Close()
	src := vault.KV(client, "secret", "app", &vault.Options{Session: session, UsernameField: "user", PasswordField: "pass"})
	c, err := src.Credential(ctx)
	fmt.Println(c.Username, err)
	// Output: app <nil>
}
