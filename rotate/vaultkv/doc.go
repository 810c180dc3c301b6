// Package vaultkv keeps the versions of a secret in version 2 of Vault's
// key-value engine. It is for secrets that Vault keeps and does not make: for databases
// that Vault itself has a role of, see package source/vault.
//
//	client, err := api.NewClient(api.DefaultConfig()) // address and token from VAULT_ADDR and VAULT_TOKEN
//	r, err := rotate.New(&rotate.Config{Store: vaultkv.New(client, "secret", "orders", nil), Target: target})
//
// The engine numbers its versions and has no stages: whatever was written last
// is what readers get. So the pending version lies beside the secret, at a path
// of its own ([Options.Beside]), in an envelope with the current and the
// previous one. The secret itself is written once in a rotation: promote is one
// write with check-and-set, which either happens or does not. It changes user
// name, password and the key "rekey_version", which holds the rotation's token;
// all other keys stay.
//
// A single document for everything would make every change atomic, not just the
// one that counts. But everybody who may read the secret could then read a
// password that is not approved yet, and every reader would see a new version
// of the secret each time that something is noted. Between the two documents
// nothing can get lost: which version is current is decided by the secret alone,
// and an envelope that is behind it, after a crash, is read accordingly.
//
// An operator may write the secret at any time, with or without the keys of a
// rotation. The store then says so by [rotate.ErrConflict], and the operator's
// version goes by the number that the engine gives it.
//
// # Policy
//
// For the rotation of secret/app; applications need no more than to read it:
//
//	path "secret/data/app"       { capabilities = ["read", "update"] }
//	path "secret/data/app-rekey" { capabilities = ["create", "read", "update"] }
//
// Mind that no application's policy covers the second path, by secret/data/app*
// for instance. The engine keeps former versions of both; limit the second one
// to a few by max_versions in its metadata. Mounts and paths with cas_required
// are fine.
//
// # The client
//
// Address, namespace, token and retries are those of the client that is passed
// in. Keep its token alive with an api.LifetimeWatcher, or make it anew for each
// run.
package vaultkv
