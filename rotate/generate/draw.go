package generate

import (
	"errors"
	"io"
)

// draw returns n characters of an alphabet of ASCII, each as likely as any
// other: a byte that would favour the first ones is thrown away.
func draw(r io.Reader, alphabet string, n int) (string, error) {
	var (
		fair = 256 - 256%len(alphabet)
		text = make([]byte, 0, n)
		raw  = make([]byte, n)
	)
	for range mostRounds {
		if len(text) == n {
			return string(text), nil
		}
		if err := fill(r, raw[:n-len(text)]); err != nil {
			return "", err
		}
		for _, b := range raw[:n-len(text)] {
			if int(b) < fair {
				text = append(text, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return "", &RandomError{errNotRandom}
}

// mostRounds is how often what was thrown away is drawn again. Each time at least
// every other byte is good.
const mostRounds = 256

var errNotRandom = errors.New("they do not look random: whatever is drawn has to be thrown away")

// fill reads as many random bytes as fit.
func fill(r io.Reader, raw []byte) error {
	if _, err := io.ReadFull(r, raw); err != nil {
		return &RandomError{err}
	}
	return nil
}
