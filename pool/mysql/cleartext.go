package mysql

import (
	"crypto/tls"
	"net/url"

	"github.com/go-sql-driver/mysql"
)

// NewForTokens is [New] for passwords that the server must get as they are
// (mysql_clear_password): the tokens of RDS IAM, PAM, LDAP. It sets
// AllowCleartextPasswords, in its copy of config, and so insists on TLS that
// proves who the server is, at every login.
//
// For RDS, register AWS's bundle of authorities by [mysql.RegisterTLSConfig], or
// set config.TLS.
func NewForTokens(config *mysql.Config) (*Dialer, error) {
	if config != nil {
		config = config.Clone()
		config.AllowCleartextPasswords = true
	}
	return New(config)
}

// A CleartextError says that a configuration with AllowCleartextPasswords is
// refused, since it would show the password to others than the server. No
// connection was made. Set tls=true, or the name of a TLS configuration with
// your authorities.
type CleartextError struct {
	TLS     string // the configuration's tls parameter; may be empty
	Problem string // what is wrong with it
}

func (e *CleartextError) Error() string {
	return "mysql: AllowCleartextPasswords is refused, as it would send the password as it is: " + e.Problem +
		"; set tls=true or the name of a TLS configuration that verifies the server"
}

// checkCleartext refuses to send passwords as they are where somebody on the
// way could read along or take the server's place. On a Unix socket nobody can.
func checkCleartext(config *mysql.Config) error {
	if !config.AllowCleartextPasswords || config.Net == "unix" {
		return nil
	}
	var problem string
	switch t, known := tlsOf(config); {
	case config.AllowFallbackToPlaintext, config.TLS == nil && config.TLSConfig == "preferred":
		problem = "TLS is used only if the server offers it"
	case !known:
		problem = "there is no TLS configuration of this name"
	case t == nil:
		problem = "there is no TLS"
	case !verifies(t):
		problem = "TLS does not verify the server"
	default:
		return nil
	}
	return &CleartextError{TLS: config.TLSConfig, Problem: problem}
}

// tlsOf is the TLS configuration that config means, of which the driver looks
// up the name; nil: none.
func tlsOf(config *mysql.Config) (t *tls.Config, known bool) {
	if config.TLS != nil || config.TLSConfig == "" {
		return config.TLS, true
	}
	named, err := mysql.ParseDSN("/?tls=" + url.QueryEscape(config.TLSConfig))
	if err != nil {
		return nil, false
	}
	return named.TLS, true
}

// verifies reports whether t proves who the server is, or has a function that
// may.
func verifies(t *tls.Config) bool {
	return !t.InsecureSkipVerify || t.VerifyConnection != nil || t.VerifyPeerCertificate != nil
}
