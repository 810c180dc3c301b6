// Package certificate rotates the certificate of a TLS server:
//
//	target, err := certificate.New(&certificate.Config{
//		Issue:    issue, // has your authority sign a request
//		Names:    []string{"shop.example"},
//		Document: document.File("/etc/shop/tls.json", 0o640),
//		Address:  "shop.example:443",
//	})
//	r, err := rotate.New(&rotate.Config{Store: store, Target: target})
//
// The private key is the password of the credential, in PKCS #8 as PEM; the chain, its
// own certificate first, is the field "tls.crt" (package source/keypair reads both). The
// user name stays what it is: the server's name, for people. The steps mean:
//
//   - create: a key is drawn here, and the authority issues a certificate for it
//     ([Config.Issue]), which is checked: chain, names, key, time. One that is issued
//     and never stored is worth nothing, as its key is gone.
//   - set: key and chain are deployed to the document that the service loads them
//     from. From here on the service presents them, so this comes after approval.
//   - verify: a TLS handshake with the service, over the network, shows that it
//     presents the certificate, has its key, and is trusted.
//   - promote: the store names it.
//   - undo: the one before is deployed again.
//
// Nothing is left behind to be retired: the certificate before ends by itself. One
// whose key is known to others has to be revoked by its authority.
//
// # When
//
// [keypair.Expires] tells when a certificate ends, for schedule.BeforeExpiry.
//
// # How the service loads it
//
// The document is JSON as file.JSON of source/file reads it, so that a service which
// follows the file has the next certificate without a restart; see the example:
//
//	{"username": "shop.example", "password": "-----BEGIN PRIVATE KEY…", "tls.crt": "…", "rekey_version": "…"}
//
// Keys that begin with "rekey_" tell rotations apart: which was deployed, and which
// have been undone and must not be deployed any more.
package certificate
