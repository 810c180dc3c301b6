package postgres

import (
	"crypto/rand"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// The race detector makes each of the 4096 rounds of a verifier count. Tests that
// are about something else do with one, which servers take as well.

// Cheap has a target compute verifiers of one round.
func Cheap(t rotate.Target) rotate.Target {
	t.(interface{ cheap() }).cheap()
	return t
}

func (s *server) cheap() { s.config.Iterations = 1 }

// CheapVerifier is a verifier of one round.
func CheapVerifier(password source.Secret) (source.Secret, error) {
	return derive(password, []byte(rand.Text())[:leastSalt], 1)
}
