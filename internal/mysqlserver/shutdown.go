package mysqlserver

import (
	"crypto/tls"
	"crypto/x509"
	"syscall"

	"github.com/rekey-go/rekey/internal/child"
	"github.com/rekey-go/rekey/internal/testca"
)

// account is as whom a server runs where this process is root.
var account = child.Account{"mysql", "nobody"}

// shutdown is the signal that tells a server how to end.
type shutdown syscall.Signal

const (
	orderly = shutdown(syscall.SIGTERM)
	crash   = shutdown(syscall.SIGKILL)
)

// trusting is how a client trusts the authority of keys alone.
func trusting(keys testca.Keys) *tls.Config {
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(keys.CA)
	return &tls.Config{RootCAs: trusted, ServerName: "localhost", MinVersion: tls.VersionTLS12}
}
