package generate_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate/generate"
	"github.com/rekey-go/rekey/source"
)

// seeded are random bytes that are the same in each run.
func seeded(name string) io.Reader { return rand.NewChaCha8(sha256.Sum256([]byte(name))) }

func TestPasswordIsSafeEverywhere(t *testing.T) {
	r := seeded(t.Name())
	safe := regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~-]{31}$`)
	seen := map[string]bool{}
	for range 10_000 {
		p, err := generate.PasswordFrom(r, nil)
		require.NoError(t, err)
		require.Regexp(t, safe, p.Reveal())
		seen[p.Reveal()] = true
	}
	require.Len(t, seen, 10_000)
	for _, class := range []string{generate.Symbols, generate.MoreSymbols} {
		require.False(t, strings.ContainsAny(class, "'\"`\\/@:#%&? "))
	}
}

// A chi-square test. The bound is that of one in 10,000 true samples; the seed is
// fixed, so the test passes always or never.
func TestEveryCharacterIsAsLikely(t *testing.T) {
	const runs = 20_000
	for _, test := range []struct {
		name  string
		o     generate.PasswordOptions
		cells string
		bound float64 // of len(cells)-1 degrees of freedom
	}{
		{"default", generate.PasswordOptions{}, generate.Lower + generate.Upper + generate.Digits + generate.Symbols, 116.4},
		{"digits", generate.PasswordOptions{Length: 40, Classes: []string{generate.Digits}}, generate.Digits, 33.72},
		{"ab", generate.PasswordOptions{Length: 120, Classes: []string{"ab"}}, "ab", 15.14},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, count, total := seeded(test.name), map[rune]float64{}, 0.0
			for range runs {
				p, err := generate.PasswordFrom(r, &test.o)
				require.NoError(t, err)
				for _, c := range p.Reveal()[1:] { // the first one is never a symbol
					count[c]++
					total++
				}
			}
			require.Len(t, count, len(test.cells))
			require.Less(t, chiSquare(count, test.cells, total), test.bound)
		})
	}
}

// Where each class is asked for, all passwords that have them are equally
// likely: each of them is counted.
func TestRequiredClassesDoNotBias(t *testing.T) {
	o := &generate.PasswordOptions{Length: 4, Classes: []string{"abc", "1"}, RequireEach: true, Weak: true}
	r, count := seeded(t.Name()), map[string]float64{}
	const runs = 100_000
	for range runs {
		p, err := generate.PasswordFrom(r, o)
		require.NoError(t, err)
		count[p.Reveal()]++
	}
	const possible = 4*4*4*4 - 3*3*3*3 - 1 // all, without those of letters only and of digits only
	require.Len(t, count, possible)
	var sum float64
	for _, n := range count {
		sum += (n - runs/possible) * (n - runs/possible) / (runs / possible)
	}
	require.Less(t, sum, 251.0, "one in 10,000 of 173 degrees of freedom")
}

func chiSquare(count map[rune]float64, cells string, total float64) (sum float64) {
	want := total / float64(len(cells))
	for _, c := range cells {
		sum += (count[c] - want) * (count[c] - want) / want
	}
	return sum
}

// The first characters are forced to what PostgreSQL takes for a hash.
func TestPasswordIsNeverTakenForAHash(t *testing.T) {
	for _, start := range []string{"md5", "SCRAM-", "-", "~"} {
		const alphabet = generate.Lower + generate.Upper + generate.Digits + generate.Symbols
		raw := make([]byte, 32)
		for i, c := range start {
			raw[i] = byte(strings.IndexRune(alphabet, c))
		}
		next := bytes.Repeat([]byte{7}, 32)
		p, err := generate.PasswordFrom(bytes.NewReader(append(raw, next...)), nil)
		require.NoError(t, err)
		require.Equal(t, strings.Repeat("h", 32), p.Reveal())
	}
}

func TestPasswordOptions(t *testing.T) {
	letters := []string{generate.Lower}
	for name, test := range map[string]struct {
		o      generate.PasswordOptions
		option string // "": it is made
	}{
		"negative":          {generate.PasswordOptions{Length: -1}, "Length"},
		"long":              {generate.PasswordOptions{Length: 1025}, "Length"},
		"longest":           {generate.PasswordOptions{Length: 1024, RequireEach: true}, ""},
		"space":             {generate.PasswordOptions{Classes: []string{"ab c"}}, "Classes"},
		"not ASCII":         {generate.PasswordOptions{Classes: []string{"abcü"}}, "Classes"},
		"control":           {generate.PasswordOptions{Classes: []string{"abc\x7f"}}, "Classes"},
		"twice":             {generate.PasswordOptions{Classes: []string{"aba"}}, "Classes"},
		"twice in two":      {generate.PasswordOptions{Classes: []string{"ab", "bc"}}, "Classes"},
		"no class":          {generate.PasswordOptions{Classes: []string{}}, "Classes"},
		"empty class":       {generate.PasswordOptions{Classes: []string{""}}, "Classes"},
		"all excluded":      {generate.PasswordOptions{Exclude: generate.Digits}, "Classes"},
		"nine":              {generate.PasswordOptions{Classes: []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"}}, "Classes"},
		"eight":             {generate.PasswordOptions{Length: 40, Classes: []string{"a", "b", "c", "d", "e", "f", "g", "h"}, RequireEach: true}, ""},
		"symbols only":      {generate.PasswordOptions{Length: 60, Classes: []string{generate.MoreSymbols}}, "Classes"},
		"too short for all": {generate.PasswordOptions{Length: 3, RequireEach: true, Weak: true}, "Length"},
		"hardly ever all":   {generate.PasswordOptions{Length: 8, Classes: []string{"a", "b", "c", "d", "e", "f", "g", generate.Upper}, RequireEach: true, Weak: true}, "Length"},
		"short but forced":  {generate.PasswordOptions{Length: 4, Classes: letters, Weak: true}, ""},
		"one and the same":  {generate.PasswordOptions{Length: 4, Classes: []string{"a"}, Weak: true}, ""},
		"known start":       {generate.PasswordOptions{Length: 32, Classes: []string{"a-"}, Weak: true}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := generate.Password(&test.o)
			if test.option == "" {
				require.NoError(t, err)
				length := test.o.Length
				require.Len(t, p.Reveal(), length)
				return
			}
			var option *generate.OptionError
			require.ErrorAs(t, err, &option)
			require.Equal(t, test.option, option.Option)
			require.True(t, p.IsEmpty())
		})
	}
}

func TestWeakPasswordsAreRefused(t *testing.T) {
	for _, test := range []struct {
		classes  []string
		refused  int // a length
		accepted int
		bits     float64 // of the refused length
	}{
		{[]string{generate.Digits}, 33, 34, 109.62},
		{[]string{generate.Lower}, 23, 24, 108.11},
		{[]string{generate.Lower + generate.Upper + generate.Digits}, 18, 19, 107.18},
		{[]string{"ab"}, 111, 112, 111},
		{[]string{generate.MoreSymbols, "a"}, 26, 27, 111.49}, // the first character is known
	} {
		o := &generate.PasswordOptions{Length: test.refused, Classes: test.classes}
		p, err := generate.Password(o)
		var weak *generate.WeakError
		require.ErrorAs(t, err, &weak)
		require.InDelta(t, test.bits, weak.Bits, 0.1)
		require.EqualValues(t, generate.LeastBits, weak.Least)
		require.True(t, p.IsEmpty())

		o.Weak = true
		_, err = generate.Password(o)
		require.NoError(t, err)
		_, err = generate.Password(&generate.PasswordOptions{Length: test.accepted, Classes: test.classes})
		require.NoError(t, err)
	}
}

func TestNoSecretWithoutRandomBytes(t *testing.T) {
	broken := errors.New("no entropy")
	for name, from := range map[string]func(io.Reader) (source.Secret, error){
		"password": func(r io.Reader) (source.Secret, error) { return generate.PasswordFrom(r, nil) },
		"api key":  func(r io.Reader) (source.Secret, error) { return generate.APIKeyFrom(r, "acme") },
		"jwt":      func(r io.Reader) (source.Secret, error) { return generate.JWTSecretFrom(r, 256) },
	} {
		for reader, test := range map[string]struct {
			r    io.Reader
			want error
		}{
			"fails":          {iotest.ErrReader(broken), broken},
			"empty":          {bytes.NewReader(nil), io.EOF},
			"short":          {bytes.NewReader(make([]byte, 10)), io.ErrUnexpectedEOF},
			"fails half way": {io.MultiReader(bytes.NewReader(make([]byte, 10)), iotest.ErrReader(broken)), broken},
		} {
			t.Run(name+" "+reader, func(t *testing.T) {
				secret, err := from(test.r)
				var random *generate.RandomError
				require.ErrorAs(t, err, &random)
				require.ErrorIs(t, err, test.want)
				require.True(t, secret.IsEmpty())
			})
		}
		t.Run(name+" byte by byte", func(t *testing.T) {
			whole, err := from(seeded("x"))
			require.NoError(t, err)
			pieces, err := from(iotest.OneByteReader(seeded("x")))
			require.NoError(t, err)
			require.True(t, whole.Equal(pieces), "how the bytes come does not matter")
		})
	}
}

// A reader that says the same for ever does not hang anybody.
func TestBytesThatAreNotRandom(t *testing.T) {
	for _, b := range []byte{0, 0xff} {
		p, err := generate.PasswordFrom(same(b), &generate.PasswordOptions{RequireEach: true})
		var random *generate.RandomError
		require.ErrorAs(t, err, &random)
		require.True(t, p.IsEmpty())
	}
}

type same byte

func (s same) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(s)
	}
	return len(p), nil
}

func TestAPIKey(t *testing.T) {
	key, err := generate.APIKey("acme_live")
	require.NoError(t, err)
	text := key.Reveal()
	require.Regexp(t, `^acme_live_[0-9A-Za-z]{49}$`, text)
	prefix, ok := generate.APIKeyPrefix(key)
	require.True(t, ok)
	require.Equal(t, "acme_live", prefix)

	for i := range len(text) { // a CRC-32 finds every change of one character
		for _, c := range "0aZ_-" {
			if wrong := text[:i] + string(c) + text[i+1:]; wrong != text {
				_, ok := generate.APIKeyPrefix(source.NewSecret(wrong))
				require.False(t, ok, "character %d", i)
			}
		}
		_, ok := generate.APIKeyPrefix(source.NewSecret(text[:i]))
		require.False(t, ok)
	}
	known, err := generate.APIKeyFrom(bytes.NewReader(make([]byte, 43)), "k")
	require.NoError(t, err)
	// The checksum was computed by another program.
	require.Equal(t, "k_"+strings.Repeat("0", 43)+"4G7Hpu", known.Reveal())
}

func TestAPIKeyPrefixes(t *testing.T) {
	for prefix, fine := range map[string]bool{
		"a": true, "Z9": true, "sk_live": true, strings.Repeat("a", 32): true,
		"": false, "_a": false, "a_": false, "9a": false, "a-b": false, "ü": false, "a b": false, strings.Repeat("a", 33): false,
	} {
		_, err := generate.APIKey(prefix)
		if fine {
			require.NoError(t, err, prefix)
			continue
		}
		var option *generate.OptionError
		require.ErrorAs(t, err, &option, prefix)
		require.Equal(t, "prefix", option.Option)
	}
}

func TestJWTSecret(t *testing.T) {
	for bits, size := range map[int]int{0: 32, 256: 32, 384: 48, 512: 64, 4096: 512} {
		secret, err := generate.JWTSecret(bits)
		require.NoError(t, err)
		key, err := base64.RawURLEncoding.DecodeString(secret.Reveal())
		require.NoError(t, err)
		require.Len(t, key, size)
	}
	for _, bits := range []int{-256, 8, 128, 248, 257, 4104} {
		_, err := generate.JWTSecret(bits)
		var option *generate.OptionError
		require.ErrorAs(t, err, &option, bits)
	}
}

func TestForEveryKind(t *testing.T) {
	for kind, form := range map[generate.Kind]string{
		generate.KindDefault:   `^[\w-]{43}$`,
		generate.KindPassword:  `^[\w.~-]{32}$`,
		generate.KindAPIKey:    `^key_[0-9A-Za-z]{49}$`,
		generate.KindJWTSecret: `^[\w-]{43}$`,
	} {
		one, err := generate.For(kind)
		require.NoError(t, err)
		require.Regexp(t, form, one.Reveal())
		two, err := generate.For(kind)
		require.NoError(t, err)
		require.False(t, one.Equal(two))
	}
}
