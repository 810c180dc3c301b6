package vaulttest

import (
	"crypto/rand"
	"time"

	"github.com/rekey-go/rekey/internal/pgserver"
)

// Role is a dynamic role: each read of it makes a user.
type Role struct {
	// TTL and MaxTTL bound its leases, in whole seconds. Zero: Vault's 768 h.
	TTL, MaxTTL time.Duration

	// Creation, Revocation and Renew are SQL statements with Vault's {{name}},
	// {{password}} and {{expiration}}. Nil: a member of db.Group that is VALID
	// UNTIL the lease ends, dropped by DROP ROLE, and renewed as VaultsOwn.
	Creation, Revocation, Renew []string
}

// VaultsOwn leaves revocation or renewal to the statements in Vault's plugin.
var VaultsOwn = []string{}

// Role writes a dynamic role and returns the path of its credentials,
// "MOUNT/creds/NAME". Writing it again changes it.
func (e *Engine) Role(name string, r Role) (path string) {
	e.t.Helper()
	if r.Creation == nil {
		r.Creation = []string{`create role "{{name}}" login password '{{password}}' valid until '{{expiration}}' in role ` +
			pgserver.QuoteIdent(e.DB.Group)}
	}
	if r.Revocation == nil {
		r.Revocation = []string{`drop role if exists "{{name}}"`}
	}
	e.do("POST", e.Mount+"/roles/"+name, map[string]any{
		"db_name":               connection,
		"default_ttl":           seconds(e.t, r.TTL),
		"max_ttl":               seconds(e.t, r.MaxTTL),
		"creation_statements":   r.Creation,
		"revocation_statements": r.Revocation,
		"renew_statements":      r.Renew,
	})
	return e.Mount + "/creds/" + name
}

// Static is a static role: one lasting user whose password Vault changes.
type Static struct {
	Period   time.Duration // between rotations, at least 5 s
	Schedule string        // in cron form, instead of Period
	Window   time.Duration // how long after Schedule it may still rotate, at least 1 h; zero: no end
}

// StaticRole makes the user DB.Role(name), a member of db.Group, hands it to
// Vault, which changes its password at once, and returns the path of its
// credentials, "MOUNT/static-creds/NAME".
func (e *Engine) StaticRole(name string, s Static) (path string) {
	e.t.Helper()
	user := e.DB.Role(name)
	e.DB.CreateUser(user, rand.Text())
	if e.DB.Server.Version() >= 160000 { // before, CREATEROLE was enough
		e.sql("grant " + pgserver.QuoteIdent(user) + " to " + pgserver.QuoteIdent(e.Admin) + " with admin true, inherit false, set false")
	}
	in := map[string]any{"db_name": connection, "username": user}
	if s.Schedule == "" {
		in["rotation_period"] = seconds(e.t, s.Period)
	} else {
		in["rotation_schedule"] = s.Schedule
		if s.Window > 0 {
			in["rotation_window"] = seconds(e.t, s.Window)
		}
	}
	e.do("POST", e.Mount+"/static-roles/"+name, in)
	return e.Mount + "/static-creds/" + name
}
