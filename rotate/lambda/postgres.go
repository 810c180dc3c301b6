package lambda

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/pool/verify"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/generate"
	"github.com/rekey-go/rekey/rotate/postgres"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/secretsmanager"
)

// A Strategy is how users change.
type Strategy string

// The strategies. See package rotate/postgres for the rights that the user of
// masterarn needs.
const (
	// SingleUser changes the password of the user in the secret. Without a
	// masterarn the user does that itself.
	SingleUser Strategy = "single"
	// Alternating has two users that take turns. It needs a masterarn.
	Alternating Strategy = "alternating"
	// ParallelRole makes a new user for each rotation. It needs a masterarn.
	ParallelRole Strategy = "parallel"
)

// Postgres rotates users of PostgreSQL, in place or in turns. Strategy is needed;
// the zero values of the others mean the defaults, and so do negative values. It
// must not change any more once Open has been called.
type Postgres struct {
	Strategy Strategy

	// Users are the two that take turns. Nil: the user in the secret and the one
	// with "_clone" behind its name, as Secrets Manager's own functions have it.
	Users []string

	// Group is the role that owns everything, for ParallelRole.
	Group string

	// CA vouches for the database. Nil: the system's, which do not know Amazon RDS.
	// Connections are always encrypted, to TLS 1.2 at least, and the name in the
	// certificate has to be that of the host.
	CA *x509.CertPool

	// ConnectTimeout bounds a login. Zero: 5 s.
	ConnectTimeout time.Duration

	// DrainTimeout bounds the wait for sessions of a user that is to be set anew or
	// removed. Zero: 10 min. The function's own time may end before.
	DrainTimeout time.Duration

	// Verify is what the next credential must be able to do, beside what the
	// current one may. Nil: nothing more.
	Verify verify.Check
}

// Open is for [Config.Open]. What the secret lacks is a [*source.FieldError].
//
// The user who changes the database is that of the secret masterarn, which should
// name no host, or the same one: else whoever may write one secret could have the
// other one's password sent elsewhere.
func (p *Postgres) Open(ctx context.Context, s Secret) (*rotate.Config, error) {
	login, err := p.login(s)
	if err != nil {
		return nil, err
	}
	config := &postgres.Config{Login: login, Verify: p.Verify}
	current := s.State.Current.Credential
	master, _ := current.Field("masterarn")
	var target rotate.Target
	if arn := master.Reveal(); arn != "" {
		if config.Admin, err = p.master(ctx, s, arn, login); err != nil {
			return nil, err
		}
		target, err = p.target(config, current.Username)
	} else {
		if p.Strategy != SingleUser {
			return nil, missing(s.ARN, "masterarn", "the ARN of the secret with the user who may change the others")
		}
		target, err = newSelf(config, s.State)
	}
	if err != nil {
		return nil, err
	}
	return &rotate.Config{
		Target: target, Lock: postgres.Lock(config, s.ARN), DrainTimeout: p.DrainTimeout, Actor: "lambda",
		Generate: func() (source.Secret, error) { return generate.Password(nil) },
	}, nil
}

func (p *Postgres) target(c *postgres.Config, user string) (rotate.Target, error) {
	switch p.Strategy {
	case SingleUser:
		return postgres.SingleUser(c)
	case Alternating:
		users := p.Users
		if users == nil {
			one := strings.TrimSuffix(user, "_clone")
			users = []string{one, one + "_clone"}
		}
		if len(users) != 2 {
			return nil, &OptionError{"Users", fmt.Sprintf("are %d; there should be two that take turns", len(users))}
		}
		return postgres.Alternating(c, users[0], users[1])
	case ParallelRole:
		if p.Group == "" {
			return nil, &OptionError{"Group", "is empty; it should be the role that owns everything"}
		}
		return postgres.ParallelRole(c, p.Group)
	}
	return nil, &OptionError{"Strategy", fmt.Sprintf("is %q; it should be %s, %s or %s", p.Strategy, SingleUser, Alternating, ParallelRole)}
}

// engines are what Amazon RDS calls PostgreSQL.
var engines = []string{"postgres", "aurora-postgresql"}

// login is where the secret's database is, and how it is reached.
func (p *Postgres) login(s Secret) (*pgx.ConnConfig, error) {
	c := s.State.Current.Credential
	if engine, ok := c.Field("engine"); !ok || !slices.Contains(engines, engine.Reveal()) {
		return nil, &source.FieldError{Where: s.ARN, Field: "engine", Problem: "is missing or another one; it should be one of " + strings.Join(engines, ", ")}
	}
	host, _ := c.Field("host")
	if host.Reveal() == "" {
		return nil, missing(s.ARN, "host", "where the database is")
	}
	port := uint64(5432)
	if text, ok := c.Field("port"); ok {
		var err error
		if port, err = strconv.ParseUint(text.Reveal(), 10, 16); err != nil || port == 0 {
			return nil, &source.FieldError{Where: s.ARN, Field: "port", Problem: "is not a port; it should be a number from 1 to 65535"}
		}
	}
	database, _ := c.Field("dbname")
	// Nothing of the secret is ever part of a text that is parsed. A server that
	// asks for the password itself, which SCRAM and MD5 do not show, gets none.
	config, err := pgx.ParseConfig("host=localhost sslmode=disable require_auth=scram-sha-256,md5")
	if err != nil {
		return nil, fmt.Errorf("lambda: the environment has variables for PostgreSQL that cannot be read: %w", err)
	}
	config.Host, config.Port, config.Database = host.Reveal(), uint16(port), cmp.Or(database.Reveal(), "postgres")
	config.Fallbacks = nil
	config.TLSConfig = &tls.Config{ServerName: config.Host, RootCAs: p.CA, MinVersion: tls.VersionTLS12}
	config.ConnectTimeout = cmp.Or(max(p.ConnectTimeout, 0), 5*time.Second)
	// So the server soon notices, and gives locks back, when a function is gone.
	config.RuntimeParams = map[string]string{
		"application_name":        "rekey-lambda",
		"tcp_keepalives_idle":     "10",
		"tcp_keepalives_interval": "5",
		"tcp_keepalives_count":    "3",
	}
	return config, nil
}

// master opens sessions of the user of another secret.
func (p *Postgres) master(ctx context.Context, s Secret, arn string, login *pgx.ConnConfig) (func(context.Context) (*pgx.Conn, error), error) {
	c, err := secretsmanager.New(s.Client, arn, nil).Credential(ctx)
	if err != nil {
		return nil, err
	}
	if host, ok := c.Field("host"); ok && host.Reveal() != login.Host {
		return nil, &source.FieldError{Where: s.ARN, Field: "host", Problem: "is another one than in the secret of masterarn; both should name the same database"}
	}
	return func(ctx context.Context) (*pgx.Conn, error) { return connect(ctx, login, c) }, nil
}

func connect(ctx context.Context, login *pgx.ConnConfig, c source.Credential) (*pgx.Conn, error) {
	config := login.Copy()
	config.User, config.Password = c.Username, c.Password.Reveal()
	return pgx.ConnectConfig(ctx, config)
}

func missing(where, field, what string) error {
	return &source.FieldError{Where: where, Field: field, Problem: "is missing or empty; it should hold " + what}
}
