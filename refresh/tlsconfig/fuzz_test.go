package tlsconfig_test

import (
	"crypto/x509"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/rekey-go/rekey/refresh/tlsconfig"
)

// What is accepted as roots is what the standard library makes of the same text.
func FuzzRoots(f *testing.F) {
	one, two := newAuthority("one", nextYear).pem, newAuthority("two", nextYear).pem
	for _, text := range []string{"", one, one + two, "# text\n" + one + "\nmore", one[:200], one + two[:200], "-----BEGIN CERTIFICATE-----\n" + one} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		roots, err := tlsconfig.ParseRoots(text)
		if err != nil {
			return
		}
		pool := x509.NewCertPool()
		assert.True(t, pool.AppendCertsFromPEM([]byte(text)))
		assert.True(t, pool.Equal(roots))
	})
}
