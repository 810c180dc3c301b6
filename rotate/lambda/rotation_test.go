package lambda_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSecretsManagerRotates(t *testing.T) {
	each(t, func(s *scene) {
		_, l := s.current()
		for i := range 3 {
			require.NoError(s, s.rotate(token(i)))
			l = s.done(token(i), l)
		}
	})
}
