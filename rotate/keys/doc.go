// Package keys rotates keys that are valid side by side: API keys, access keys,
// and what else is made, switched off and deleted one by one. Where they are kept
// is behind a [Keeper], a small interface that users write for their provider;
// packages signingkey and kms have ready ones.
//
//	target, err := keys.New(&keys.Config{Keeper: provider}) // yours
//	r, err := rotate.New(&rotate.Config{Store: store, Target: target, Grace: 24 * time.Hour})
//
// A key is a credential: its ID is the user name, its secret the password. The
// steps of a rotation mean:
//
//   - create: the secret of the next key is drawn and stored. A [Registrar] is told
//     of it afterwards, and needs no more than a hash of it. A [Drawer] draws it
//     itself; the key is made switched off. If the process dies before it is
//     stored, nobody knows it: the next rotation finds it by its label and deletes
//     it.
//   - set: the next key is registered, or switched on. Both are accepted from here
//     on, so that consumers can take their time.
//   - verify: the provider accepts it, and [Config.Verify] finds that it may do
//     what it should.
//   - promote: the store names it.
//   - drain: see [Observer]. Without one, DrainTimeout has nothing to wait for, and
//     Config.Grace of package rotate is the time in which consumers follow.
//   - disable: the old key is switched off, which Enable takes back.
//   - remove: it is deleted.
//
// # Labels
//
// Each key that a rotation has made carries a label that names the rotation and
// the key before it:
//
//	rekey set 6f2c… AKIAOLD
//
// It has letters, digits and " -_.=+" only, so that it fits into tags, and is
// shorter than 256 characters if tokens and IDs are shorter than 100. Keys without
// it are not touched, but for the one that a rotation has replaced.
//
// Keepers can only change one key at a time, so two rotations of one secret exclude
// each other by the store, not here; each has a key of its own.
package keys
