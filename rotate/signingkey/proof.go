package signingkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
)

// proof is what is signed to try a key. It is no token.
const proof = "rekey: a trial of a key that signs tokens"

// sign signs the proof.
func sign(key crypto.Signer) ([]byte, error) {
	if _, ok := key.(ed25519.PrivateKey); ok {
		return key.Sign(rand.Reader, []byte(proof), crypto.Hash(0))
	}
	return key.Sign(rand.Reader, digest(), crypto.SHA256)
}

func digest() []byte {
	h := crypto.SHA256.New()
	_, _ = h.Write([]byte(proof)) // never fails
	return h.Sum(nil)
}

// verifies reports whether sig is what the private half of key has made of the
// proof.
func verifies(public crypto.PublicKey, sig []byte) bool {
	switch key := public.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(key, []byte(proof), sig)
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, digest(), sig)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest(), sig) == nil
	}
	return false
}
