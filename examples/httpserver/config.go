package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

// A config is what the flags say. It holds no secret: those are in files, which
// whoever starts the service puts there and replaces.
type config struct {
	listen string
	dsn    string // of the database, without a password

	credentialFile    string
	vaultRole         string
	vaultRoleID       string
	vaultSecretIDFile string
	vaultTokenFile    string

	drain time.Duration // for which the service is unready and still takes requests
	grace time.Duration // in which requests end, and then connections

	demo bool
}

// parse reads flags, and for those that are absent the environment: ORDERS_DSN
// is -dsn, ORDERS_CREDENTIAL_FILE is -credential-file.
func parse(args []string) (c config, err error) {
	flags := flag.NewFlagSet("httpserver", flag.ExitOnError)
	flags.StringVar(&c.listen, "listen", "127.0.0.1:8080", "`address` to serve on")
	flags.StringVar(&c.dsn, "dsn", "", "`URL` of the database, without user and password")
	flags.StringVar(&c.credentialFile, "credential-file", "", "`file` that holds the database user, {\"username\": …, \"password\": …}")
	flags.StringVar(&c.vaultRole, "vault-role", "", "`path` in Vault that gives database users, such as database/creds/app; VAULT_ADDR says where Vault is")
	flags.StringVar(&c.vaultRoleID, "vault-role-id", "", "the `ID` of the AppRole to log in to Vault with")
	flags.StringVar(&c.vaultSecretIDFile, "vault-secret-id-file", "", "`file` with the AppRole's secret ID")
	flags.StringVar(&c.vaultTokenFile, "vault-token-file", "", "`file` with a token for Vault, kept by Vault Agent, instead of an AppRole")
	flags.DurationVar(&c.drain, "drain", 5*time.Second, "how long to be unready before taking no more requests; load balancers need that time to notice")
	flags.DurationVar(&c.grace, "grace", 15*time.Second, "how long requests may take to end, and after them the connections")
	flags.BoolVar(&c.demo, "demo", false, "serve from a throwaway database whose credential changes every 5 seconds")
	flags.VisitAll(func(f *flag.Flag) {
		name := "ORDERS_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if value, ok := os.LookupEnv(name); ok {
			if e := f.Value.Set(value); e != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", name, e))
			}
		}
	})
	_ = flags.Parse(args) // which exits where it fails
	return c, err
}
