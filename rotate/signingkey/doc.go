// Package signingkey rotates the keys that sign tokens (JWT) and publishes their
// public halves as a JWK Set (RFC 7517):
//
//	published := document.File("/srv/keys/published.json", 0o644)
//	target, err := signingkey.New(&signingkey.Config{
//		Document: published, URL: "https://issuer.example/.well-known/jwks.json", Algorithm: jwk.EdDSA,
//		Propagation: 15 * time.Minute, Lifetime: time.Hour,
//	})
//	r, err := rotate.New(&rotate.Config{Store: store, Target: target, StepTimeout: 20 * time.Minute, DrainTimeout: 2 * time.Hour})
//	http.Handle("GET /.well-known/jwks.json", signingkey.Handler(published, 5*time.Minute))
//
// The private key is the password of the
// credential, in PKCS #8 as PEM; its "kid" is the user name. The steps mean:
//
//   - create: a key is drawn, and stored with nobody knowing.
//   - set: its public half is published beside the one in use.
//   - verify: what it signs verifies with what is published, as it is fetched over
//     HTTP; and the time is over after which every verifier has it, see
//     [Config.Propagation].
//   - promote: the store names it, and whoever signs takes it from there.
//   - drain: the last token of the old key has expired, see [Config.Lifetime].
//   - disable: its public half is not published any more, which Enable takes back.
//   - remove: it is forgotten.
//
// Both times count from moments that are written down in the document, so they go
// on while nobody runs.
//
// # Two processes
//
// What is published is kept in a document, which holds no secrets: a file, or
// wherever [document.Store] reaches. The rotator changes it; the service that
// publishes it serves it with [Handler], and reads it anew for each request.
package signingkey
