package lambda

import (
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/rekey-go/rekey/rotate/secretsmanager"
)

// FromEnvironment reads a configuration for PostgreSQL from environment
// variables, of which getenv, such as [os.Getenv], returns the values:
//
//	REKEY_SECRETS          the ARNs of the secrets that may be rotated, with commas between them
//	REKEY_STRATEGY         single, alternating or parallel
//	REKEY_USERS            alternating: the two users, with a comma between them; empty: app and app_clone
//	REKEY_GROUP            parallel: the role that owns everything
//	REKEY_CA_FILE          PEM file of the authorities that vouch for the database; empty: the system's
//	REKEY_CONNECT_TIMEOUT  bounds a login, such as 5s; empty: 5s
//	REKEY_DRAIN_TIMEOUT    bounds the wait for old sessions, such as 10m; empty: 10m
//
// What cannot be is an [*OptionError] with the variable's name.
func FromEnvironment(client secretsmanager.Client, getenv func(string) string) (*Config, error) {
	p := &Postgres{Strategy: Strategy(getenv("REKEY_STRATEGY")), Users: list(getenv("REKEY_USERS")), Group: getenv("REKEY_GROUP")}
	switch {
	case p.Strategy != SingleUser && p.Strategy != Alternating && p.Strategy != ParallelRole:
		return nil, &OptionError{"REKEY_STRATEGY", fmt.Sprintf("is %q; it should be %s, %s or %s", p.Strategy, SingleUser, Alternating, ParallelRole)}
	case p.Users != nil && (p.Strategy != Alternating || len(p.Users) != 2):
		return nil, &OptionError{"REKEY_USERS", "should name two users with a comma between them, and only with the strategy alternating"}
	case (p.Group != "") != (p.Strategy == ParallelRole):
		return nil, &OptionError{"REKEY_GROUP", "should name the role that owns everything, with the strategy parallel and only there"}
	}
	var err error
	if p.CA, err = authorities(getenv("REKEY_CA_FILE")); err != nil {
		return nil, err
	}
	for name, to := range map[string]*time.Duration{"REKEY_CONNECT_TIMEOUT": &p.ConnectTimeout, "REKEY_DRAIN_TIMEOUT": &p.DrainTimeout} {
		text := getenv(name)
		if text == "" {
			continue
		}
		if *to, err = time.ParseDuration(text); err != nil || *to <= 0 {
			return nil, &OptionError{name, fmt.Sprintf("is %q; it should be a time above zero, such as 30s or 5m", text)}
		}
	}
	secrets := list(getenv("REKEY_SECRETS"))
	if secrets == nil {
		return nil, &OptionError{"REKEY_SECRETS", "is empty; it should list the ARNs of the secrets that may be rotated, with commas between them"}
	}
	return &Config{Client: client, Secrets: secrets, Open: p.Open}, nil
}

// list splits a text at its commas; nil: there is nothing.
func list(text string) (all []string) {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			all = append(all, part)
		}
	}
	return all
}

// authorities reads a PEM file; nil: the system's.
func authorities(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &OptionError{"REKEY_CA_FILE", fmt.Sprintf("cannot be read: %v", err)}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, &OptionError{"REKEY_CA_FILE", fmt.Sprintf("is %q, which holds no certificate; it should be a PEM file", path)}
	}
	return pool, nil
}
