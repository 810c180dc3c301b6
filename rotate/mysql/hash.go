package mysql

import (
	"cmp"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/rekey-go/rekey/source"
)

// HashOptions say how a caching_sha2_password hash is computed. The zero value, or
// nil, means the defaults.
type HashOptions struct {
	// Rounds of SHA-256, each of which a client's first login pays for: a multiple
	// of 1000 from 5000 to 4,095,000. Zero: 5000, which every version accepts;
	// servers' own default is caching_sha2_password_digest_rounds.
	Rounds int
}

const (
	leastRounds = 5000
	mostRounds  = 0xFFF * 1000

	saltLength = 20

	// longestPassword is what the server takes of one at a login.
	longestPassword = 256
)

// CachingSHA2Hash computes the hash of a password for caching_sha2_password, the
// way to log in to MySQL 8 and newer:
//
//	ALTER USER `app`@`%` IDENTIFIED WITH caching_sha2_password AS '$A$005$…'
//
// Where the server makes such a hash it may have unprintable characters in it;
// this one is printable ASCII without quotes and backslashes. It is a secret as
// well: passwords can be tried against it without asking the server.
//
// A password that is empty, longer than 256 bytes or has a NUL in it is a
// [*PasswordError], options that cannot be are an [*OptionError].
func CachingSHA2Hash(password source.Secret, opts *HashOptions) (source.Secret, error) {
	var o HashOptions
	if opts != nil {
		o = *opts
	}
	rounds := cmp.Or(o.Rounds, leastRounds)
	if rounds < leastRounds || rounds > mostRounds || rounds%1000 != 0 {
		return source.Secret{}, &OptionError{"Rounds", fmt.Sprintf("are %d; they should be a multiple of 1000 from %d to %d, or 0 for %d",
			rounds, leastRounds, mostRounds, leastRounds)}
	}
	if err := checkPassword(password); err != nil {
		return source.Secret{}, err
	}
	if n := len(password.Reveal()); n > longestPassword {
		return source.Secret{}, &PasswordError{fmt.Sprintf("has %d bytes; caching_sha2_password takes at most %d", n, longestPassword)}
	}
	salt := rand.Text()[:saltLength]
	digest := sha256crypt(password.Reveal(), salt, rounds)
	return source.NewSecret(fmt.Sprintf("$A$%03X$%s%s", rounds/1000, salt, digest)), nil
}

// NativeHash computes the hash of a password for mysql_native_password, the way
// to log in to MariaDB and, where it is still enabled, to MySQL 8:
//
//	ALTER USER `app`@`%` IDENTIFIED VIA mysql_native_password USING '*…'
//
// or, in MySQL, WITH … AS. It is SHA-1 of SHA-1 in hexadecimal after an asterisk,
// without a salt: equal passwords have equal hashes, and short ones are found in
// tables. Only long random passwords are safe with it.
//
// A password that is empty or has a NUL in it is a [*PasswordError].
func NativeHash(password source.Secret) (source.Secret, error) {
	if err := checkPassword(password); err != nil {
		return source.Secret{}, err
	}
	return source.NewSecret(native(password.Reveal())), nil
}

func native(password string) string {
	first := sha1.Sum([]byte(password))
	second := sha1.Sum(first[:])
	return "*" + strings.ToUpper(hex.EncodeToString(second[:]))
}

func checkPassword(password source.Secret) error {
	switch text := password.Reveal(); {
	case text == "":
		return &PasswordError{"is empty; a user without one lets everybody in"}
	case strings.Contains(text, "\x00"):
		return &PasswordError{"has a NUL in it, where clients end it at a login"}
	}
	return nil
}

var (
	nativeForm  = regexp.MustCompile(`^\*[0-9A-Fa-f]{40}$`)
	cachingForm = regexp.MustCompile(`(?s)^\$A\$([0-9A-F]{3})\$(.{20})([./0-9A-Za-z]{43})$`)
)

// Matches reports whether a hash, such as the one in mysql.user, is that of a
// password: of caching_sha2_password or mysql_native_password. Another text is a
// [*HashError].
func Matches(hash, password source.Secret) (bool, error) {
	text := hash.Reveal()
	if nativeForm.MatchString(text) {
		return equal(strings.ToUpper(text), native(password.Reveal())), nil
	}
	parts := cachingForm.FindStringSubmatch(text)
	if parts == nil {
		return false, &HashError{"is neither * with 40 hexadecimal digits (mysql_native_password) nor $A$ with rounds, salt and digest (caching_sha2_password)"}
	}
	thousands, _ := strconv.ParseInt(parts[1], 16, 0) // three digits, by the pattern
	if thousands == 0 || len(password.Reveal()) > longestPassword {
		return false, nil // no login would be let in
	}
	return equal(parts[3], sha256crypt(password.Reveal(), parts[2], int(thousands)*1000)), nil
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// sha256crypt is U. Drepper's "Unix crypt using SHA-256", without its limit of 16
// bytes of salt.
func sha256crypt(password, salt string, rounds int) string {
	sum := func(parts ...string) string {
		s := sha256.Sum256([]byte(strings.Join(parts, "")))
		return string(s[:])
	}
	// stretch repeats a sum to a length.
	stretch := func(s string, n int) string { return strings.Repeat(s, n/len(s)+1)[:n] }

	mixed := sum(password, salt, password)
	start := []string{password, salt, stretch(mixed, len(password))}
	for n := len(password); n > 0; n >>= 1 {
		if n&1 != 0 {
			start = append(start, mixed)
		} else {
			start = append(start, password)
		}
	}
	last := []byte(sum(start...))
	p := []byte(stretch(sum(strings.Repeat(password, len(password))), len(password)))
	s := []byte(stretch(sum(strings.Repeat(salt, 16+int(last[0]))), len(salt)))
	var parts []byte
	for i := range rounds {
		first, end := last, p
		if i%2 != 0 {
			first, end = p, last
		}
		parts = append(parts[:0], first...)
		if i%3 != 0 {
			parts = append(parts, s...)
		}
		if i%7 != 0 {
			parts = append(parts, p...)
		}
		parts = append(parts, end...)
		next := sha256.Sum256(parts)
		copy(last, next[:])
	}
	return digest64(string(last))
}

// digest64 writes 32 bytes in crypt's base 64, three of them as four characters,
// low bits first, in crypt's order.
func digest64(sum string) string {
	const digits = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var text []byte
	put := func(bits uint32, n int) {
		for range n {
			text = append(text, digits[bits&63])
			bits >>= 6
		}
	}
	at := func(i int) uint32 { return uint32(sum[i]) }
	a, b, c := 0, 10, 20
	for range 10 {
		put(at(a)<<16|at(b)<<8|at(c), 4)
		a, b, c = c+1, a+1, b+1
	}
	put(at(31)<<8|at(30), 3)
	return string(text)
}
