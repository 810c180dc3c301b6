package vault

import (
	"errors"
	"net"
	"net/url"

	"github.com/hashicorp/vault/api"

	"github.com/rekey-go/rekey/source"
)

// refused says what a refusal means where there is no session. If the client
// has no token either, an agent or proxy may put its own into requests, and
// does from the moment when it has logged in: that is worth waiting for.
func (a *access) refused(t *token, err error) error {
	var e *Error
	errors.As(err, &e)
	switch {
	case !t.secret.IsEmpty() && dead(err):
		return source.Permanent(err) // until somebody gives the client another one
	case !t.secret.IsEmpty():
		return err
	case dead(err): // then there is somebody who adds one
		e.Detail = "the token that an agent or proxy adds has ended or was revoked; it has to log in again"
		return e
	}
	e.Detail = "the client has no token: set VAULT_TOKEN or use Login; where an agent or proxy adds one, it has not logged in yet, or may not do this"
	if maybeAgent(a.user) {
		return e
	}
	return err
}

// maybeAgent reports whether what client talks to could be an agent or proxy:
// it is named as one, or on this machine.
func maybeAgent(client *api.Client) bool {
	if client.CloneConfig().AgentAddress != "" {
		return true
	}
	u, err := url.Parse(client.Address()) // that of a Unix socket is localhost
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
}
