package generate

import (
	"crypto/rand"
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"github.com/rekey-go/rekey/source"
)

const (
	base62 = Digits + Upper + Lower

	keyLength = 43 // the least number of base62 digits with 256 bits
	sumLength = 6  // the least number of base62 digits for a CRC-32

	longestPrefix = 32
)

// APIKey makes an API key in the manner of GitHub's tokens:
//
//	prefix_KKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKCCCCCC
//
// K are 43 base62 digits (0-9A-Za-z) with 256 bits of entropy, C is the CRC-32
// (IEEE) of everything in front of it, as six base62 digits. A secret scanner
// finds such keys by \bprefix_[0-9A-Za-z]{49}\b and tells them from look-alikes
// by [APIKeyPrefix], without asking anybody. The checksum protects against typing
// errors, not against attackers.
//
// The prefix says whose key it is. It is at most 32 letters, digits and
// underscores, starts with a letter and does not end in an underscore, else
// there is an [*OptionError].
func APIKey(prefix string) (source.Secret, error) { return apiKey(rand.Reader, prefix) }

func apiKey(r io.Reader, prefix string) (source.Secret, error) {
	if !isPrefix(prefix) {
		return source.Secret{}, &OptionError{"prefix", fmt.Sprintf("is %q; it should be 1 to %d letters, digits and underscores, "+
			"start with a letter and not end in an underscore", prefix, longestPrefix)}
	}
	random, err := draw(r, base62, keyLength)
	if err != nil {
		return source.Secret{}, err
	}
	body := prefix + "_" + random
	return source.NewSecret(body + checksum(body)), nil
}

// APIKeyPrefix returns the prefix of a text that [APIKey] could have made, and
// whether it could: form and checksum are right. It does not say that the key is
// or was ever valid.
func APIKeyPrefix(key source.Secret) (prefix string, ok bool) {
	text := key.Reveal()
	at := len(text) - sumLength - keyLength - 1
	if at < 1 || text[at] != '_' || !isPrefix(text[:at]) || strings.Trim(text[at+1:], base62) != "" {
		return "", false
	}
	body, sum := text[:len(text)-sumLength], text[len(text)-sumLength:]
	if checksum(body) != sum {
		return "", false
	}
	return text[:at], true
}

func isPrefix(text string) bool {
	return text != "" && len(text) <= longestPrefix && strings.Trim(text, base62+"_") == "" &&
		strings.Contains(Lower+Upper, text[:1]) && !strings.HasSuffix(text, "_")
}

func checksum(body string) string {
	sum := crc32.ChecksumIEEE([]byte(body))
	var digits [sumLength]byte
	for i := range digits {
		digits[sumLength-1-i] = base62[sum%62]
		sum /= 62
	}
	return string(digits[:])
}
