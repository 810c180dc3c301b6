// Package vault takes database credentials from HashiCorp Vault or OpenBao.
//
//   - [Dynamic] reads a role of the database secrets engine that makes a new
//     database user each time, with a lease that can be renewed and revoked.
//   - [Static] reads a role whose one user gets a new password on Vault's own
//     schedule.
//   - [KV] reads a secret of a key-value engine.
//
// [Login] keeps the token that they need: it logs in by any [api.AuthMethod],
// renews the token, and logs in again when that is not possible any more.
//
//	client, err := api.NewClient(api.DefaultConfig()) // address from VAULT_ADDR
//	auth, err := kubernetes.NewKubernetesAuth("orders") // of vault/api/auth, or another
//	session, err := vault.Login(ctx, client, auth, nil)
//	defer session.Close() // after the pool is closed, as it ends all leases
//	src := vault.Dynamic(nil, "database/creds/orders", &vault.Options{Session: session})
//	db, err := pool.Open(ctx, "postgres://db.internal/app?sslmode=verify-full", src, nil)
//	defer db.Close()
//
// # What ends a dynamic credential
//
// The earliest of: the lease, the role's maximum (seen when a renewal grants
// less than asked), the token that the lease was made with, and that token's
// parent. Vault revokes every lease of a token that ends, whatever is left of
// them. Which bound it was is in the credential's Reason: "lease", "max_ttl",
// "vault token" or "parent token". All are counted from the start of the
// request. When the token is replaced by a new login, leases of the old one
// are never renewed; a source with a [Session] tells its refresher to fetch
// new ones.
//
// What cannot be known: Vault does not tell a token who its parent is. Tokens
// from logins have none; for a child token name the parent's accessor in
// [LoginOptions]. A lease or token that somebody revokes is found by the
// database rejecting its user, or by Vault's next answer. A request for a
// dynamic credential that is cut off after Vault has made the user leaves that
// user behind until its lease ends.
//
// # Policy
//
// A token needs these paths and no others. The default policy has the last
// four; a source works without them, with the loss that is named:
//
//	path "database/creds/app"          { capabilities = ["read"] }    # Dynamic
//	path "database/static-creds/app"   { capabilities = ["read"] }    # Static
//	path "secret/data/app"             { capabilities = ["read"] }    # KV version 2
//	path "sys/leases/revoke"           { capabilities = ["update"] }  # else users stay until their lease ends
//	path "sys/leases/renew"            { capabilities = ["update"] }  # else no bridge over an outage of the database
//	path "auth/token/lookup-self"      { capabilities = ["read"] }    # else the end of a token that was given is not known
//	path "auth/token/renew-self"       { capabilities = ["update"] }  # else tokens are replaced by logins
//	path "auth/token/revoke-self"      { capabilities = ["update"] }  # else tokens stay until their end
//	path "auth/token/lookup-accessor"  { capabilities = ["update"] }  # only for LoginOptions.ParentAccessor
//
// # The api client
//
// Address, TLS, namespace, headers, time-out and rate limit are those of the
// [api.Client] that is passed in, with all VAULT_* variables that it honours.
// The client is copied, not changed. Its retries are off in the copy: a read
// that is repeated blindly makes a second database user, and pauses belong to
// the refresher, which knows how urgent it is. Response wrapping is off too.
// Without a [Session] the client's token is looked at anew at each request.
//
// Vault Agent and Vault Proxy work as an address, for a client that has no
// token; turn their cache off for dynamic roles. They listen before they have
// logged in, and Vault refuses what they pass on until then: at an address on
// this machine, or in VAULT_AGENT_ADDR, such a refusal is tried again at
// start-up. The token sink of an agent is read by [TokenFile]. Files that it
// renders are for package source/file.
package vault
