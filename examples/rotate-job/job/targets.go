package job

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"go.yaml.in/yaml/v3"

	"github.com/rekey-go/rekey/pool/verify"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/postgres"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/file"
)

// A target is a rotate.Target and the lock that belongs to its server.
type target struct {
	rotate.Target
	lock  func(ctx context.Context) (unlock func(), err error)
	close func() error // nil: nothing is kept open
}

var targets = map[string]func(secret string, decode func(any) error) (*target, error){
	"postgres": openPostgres,
	"mysql":    openMySQL,
}

// openTarget opens the one target that is described.
func openTarget(secret string, described map[string]yaml.Node) (*target, error) {
	for kind, node := range described {
		open := targets[kind]
		if open == nil {
			return nil, wrong("there is no target %q; there are %s", kind, strings.Join(slices.Sorted(maps.Keys(targets)), ", "))
		}
		return open(secret, decoder(node))
	}
	return nil, errors.New("no target") // the configuration has been checked for that
}

// target: {postgres: {strategy: parallel role, group: orders_owner, login: postgres://db/orders, admin: {env: ADMIN}}}
func openPostgres(secret string, decode func(any) error) (*target, error) {
	var c struct {
		Strategy   string   `yaml:"strategy"`   // single user, alternating users, parallel role
		Users      []string `yaml:"users"`      // alternating users: both
		Group      string   `yaml:"group"`      // parallel role
		Login      string   `yaml:"login"`      // a URL without user and password
		Admin      origin   `yaml:"admin"`      // the rotator's own user
		Statements []string `yaml:"statements"` // that the next credential must be allowed to run
	}
	if err := decode(&c); err != nil {
		return nil, err
	}
	login, err := loginConfig(c.Login)
	if err != nil {
		return nil, err
	}
	admin, err := c.Admin.source()
	if err != nil {
		return nil, err
	}
	config := &postgres.Config{Login: login, Admin: func(ctx context.Context) (*pgx.Conn, error) {
		credential, err := admin.Credential(ctx)
		if err != nil {
			return nil, err
		}
		as := login.Copy()
		as.User, as.Password = credential.Username, credential.Password.Reveal()
		return pgx.ConnectConfig(ctx, as)
	}}
	if len(c.Statements) > 0 {
		config.Verify = verify.Statements(c.Statements...)
	}
	t := &target{lock: postgres.Lock(config, secret)}
	switch c.Strategy {
	case "single user":
		t.Target, err = postgres.SingleUser(config)
	case "alternating users":
		if len(c.Users) != 2 {
			return nil, wrong("alternating users are two: users has %d", len(c.Users))
		}
		t.Target, err = postgres.Alternating(config, c.Users[0], c.Users[1])
	case "parallel role":
		t.Target, err = postgres.ParallelRole(config, c.Group)
	default:
		return nil, wrong("strategy is %q; it should be single user, alternating users or parallel role", c.Strategy)
	}
	if err != nil {
		return nil, wrong("%s", err)
	}
	return t, nil
}

// own is the name by which the database knows the job's sessions. Its trial logins
// are none of a consumer.
const own = "rotate-job"

// loginConfig reads a URL that must not hold a password, and does not quote it.
func loginConfig(text string) (*pgx.ConnConfig, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return nil, wrong("login is not a URL such as postgres://db.internal/orders?sslmode=verify-full")
	}
	if u.User != nil || u.Query().Has("password") || u.Query().Has("user") {
		return nil, wrong("login has a user or a password; the store has those")
	}
	c, err := pgx.ParseConfig(text)
	if err != nil {
		return nil, wrong("login: %s", err)
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = own
	}
	return c, nil
}

// An origin is where a credential of the job's own comes from: variables of the
// environment whose names begin with Env, or a JSON file. It is read anew for each
// session, so it may be rotated itself.
type origin struct {
	Env  string `yaml:"env"`  // NAME: NAME_USERNAME and NAME_PASSWORD
	File string `yaml:"file"` // {"username": …, "password": …}
}

func (o origin) source() (source.Source, error) {
	switch {
	case (o.Env == "") == (o.File == ""):
		return nil, wrong("admin needs env or file: where the rotator's own credential comes from")
	case o.Env != "":
		return source.Env(o.Env+"_USERNAME", o.Env+"_PASSWORD"), nil
	}
	path, err := expand(o.File)
	if err != nil {
		return nil, wrong("admin: file: %s", err)
	}
	return file.JSON(path, nil), nil
}

// of names the secret that an error is about.
func of(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("secret %s: %w", name, err)
}
