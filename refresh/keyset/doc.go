// Package keyset signs and verifies JSON Web Tokens with keys that change. It is a module
// of its own, on github.com/go-jose/go-jose.
//
// A [Set] is for who signs. The user name of its credential is the key's ID ("kid"), the
// password is a private key in PKCS #8 as PEM (Ed25519, ECDSA with P-256 or RSA, as
// package rotate/signingkey makes them), or with [Options.HMAC] a secret that signer and
// verifiers share:
//
//	r, err := refresh.New(ctx, file.JSON("/run/secrets/signing.json", nil), nil)
//	keys, err := keyset.New(ctx, r, &keyset.Options{Keep: 2 * time.Hour})
//	token, err := keys.Sign(claims)
//	http.Handle("/.well-known/jwks.json", keys.Handler(5*time.Minute))
//
// The current key signs. It, those before it for [Options.Keep], and those that come
// next ([Options.Also]) verify, and their public halves are published. Where rotations
// are done by package rotate/signingkey, publish what that has published instead, with
// its Handler: it remembers the old keys across restarts.
//
// A [Verifier] is for who trusts the keys that somebody publishes:
//
//	r, err := refresh.New(ctx, keyset.Published("https://issuer.example/.well-known/jwks.json", nil), nil)
//	v, err := keyset.NewVerifier(ctx, r, &keyset.VerifierOptions{Expect: keyset.Expect{Issuer: "https://issuer.example"}})
//	err = v.Verify(token, &claims)
//
// Each key verifies with its own algorithm only, whatever a token says, and a secret is
// never a public key; a token needs a key ID that is known and an end.
package keyset
