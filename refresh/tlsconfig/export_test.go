package tlsconfig

import (
	"crypto/x509"
	"time"
)

// ParseRoots reads roots as they are adopted now.
func ParseRoots(text string) (*x509.CertPool, error) {
	set, err := parseRoots(text, time.Now())
	if err != nil {
		return nil, err
	}
	return set.pool, nil
}
