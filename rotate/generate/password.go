package generate

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"io"
	"math/big"
	"strings"

	"github.com/rekey-go/rekey/source"
)

// Classes of characters for [PasswordOptions].
const (
	Lower  = "abcdefghijklmnopqrstuvwxyz"
	Upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	Digits = "0123456789"

	// Symbols mean nothing to URLs (RFC 3986 calls them unreserved), connection
	// strings, configuration files and, inside a word, shells.
	Symbols = "-._~"

	// MoreSymbols are for policies that want other ones. None of them is a quote,
	// a backslash, a space or one of / @ : # % & ?, but in shells, dotenv and
	// YAML files, and where parts are told apart by ; = or a comma, they need
	// quotes.
	MoreSymbols = "-._~!$()*+,;<=>[]^{|}"
)

// PasswordOptions say what a password looks like. The zero value, or nil, means the
// defaults.
type PasswordOptions struct {
	// Length in characters, at most 1024. Zero: 32.
	Length int

	// Classes are the sets of characters that a password is made of; no
	// character may be in two. Only printable ASCII without the space is
	// accepted: other characters are not the same password for every driver.
	// At most 8. Nil: Lower, Upper, Digits and Symbols.
	Classes []string

	// RequireEach asks for at least one character of every class. All passwords
	// that have them are equally likely.
	RequireEach bool

	// Exclude are characters to leave out of all classes.
	Exclude string

	// Weak allows less than LeastBits of entropy.
	Weak bool
}

const (
	longestPassword = 1024
	mostClasses     = 8

	// mostTries is how often a password is drawn that does not come out right.
	// At the worst one in oneIn does, so to fail has a chance of e to the -100.
	oneIn     = 1000
	mostTries = 100 * oneIn
)

// Password makes a password, by default 32 characters with 193 bits of entropy.
//
// It never starts with md5 or SCRAM-, which PostgreSQL would take for a password
// that is hashed already, nor with a symbol, which shells and command lines may
// take for more than a letter. This is so for every alphabet.
//
// Options that cannot be are an [*OptionError], those that make it easy to guess
// a [*WeakError].
func Password(opts *PasswordOptions) (source.Secret, error) { return password(rand.Reader, opts) }

func password(r io.Reader, o *PasswordOptions) (source.Secret, error) {
	var opts PasswordOptions
	if o != nil {
		opts = *o
	}
	if opts.Length < 0 || opts.Length > longestPassword {
		return source.Secret{}, &OptionError{"Length", fmt.Sprintf("is %d; it should be from 1 to %d, or 0 for 32", opts.Length, longestPassword)}
	}
	length := cmp.Or(opts.Length, 32)
	classes, err := opts.classes()
	if err != nil {
		return source.Secret{}, err
	}
	alphabet := strings.Join(classes, "")
	if strings.Trim(alphabet, allSymbols) == "" {
		return source.Secret{}, &OptionError{"Classes", "have no letter and no digit for a password to start with"}
	}
	good := passwords(classes, opts.RequireEach, length)
	if all := power(len(alphabet), length); all.Cmp(new(big.Int).Mul(good, big.NewInt(oneIn))) > 0 {
		return source.Secret{}, &OptionError{"Length", fmt.Sprintf("is %d: hardly any password of it has a character of every class; make it longer", length)}
	}
	if bits := log2(good); bits < LeastBits && !opts.Weak {
		return source.Secret{}, &WeakError{bits, LeastBits}
	}
	for range mostTries {
		text, err := draw(r, alphabet, length)
		if err != nil {
			return source.Secret{}, err
		}
		if startsWell(text) && (!opts.RequireEach || hasEach(text, classes)) {
			return source.NewSecret(text), nil
		}
	}
	return source.Secret{}, &RandomError{errNotRandom}
}

const allSymbols = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

// startsWell reports whether nobody will take the first characters for
// something else.
func startsWell(text string) bool {
	return !strings.HasPrefix(text, "md5") && !strings.HasPrefix(text, "SCRAM-") &&
		!strings.ContainsRune(allSymbols, rune(text[0]))
}

func hasEach(text string, classes []string) bool {
	for _, class := range classes {
		if !strings.ContainsAny(text, class) {
			return false
		}
	}
	return true
}

// classes are the sets to draw from: disjoint, none empty, without what is
// excluded.
func (o *PasswordOptions) classes() ([]string, error) {
	classes := o.Classes
	if classes == nil {
		classes = []string{Lower, Upper, Digits, Symbols}
	}
	if len(classes) == 0 || len(classes) > mostClasses {
		return nil, &OptionError{"Classes", fmt.Sprintf("are %d; there should be 1 to %d, or nil for the default", len(classes), mostClasses)}
	}
	left, seen := make([]string, len(classes)), ""
	for i, class := range classes {
		for _, c := range class {
			switch {
			case c <= ' ' || c > '~':
				return nil, &OptionError{"Classes", fmt.Sprintf("have %q; only printable ASCII without the space is accepted", c)}
			case strings.ContainsRune(seen, c):
				return nil, &OptionError{"Classes", fmt.Sprintf("have %q twice, which would make it more likely", c)}
			}
			seen += string(c)
			if !strings.ContainsRune(o.Exclude, c) {
				left[i] += string(c)
			}
		}
		if left[i] == "" {
			return nil, &OptionError{"Classes", fmt.Sprintf("have nothing left in number %d of them", i+1)}
		}
	}
	return left, nil
}
