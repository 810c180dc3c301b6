package keys

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLabel(t *testing.T) {
	for text, want := range map[string]label{
		"rekey set 6f2c-91ab AKIAOLD": {set, "6f2c-91ab", "AKIAOLD"},
		"rekey drawn t -":             {drawn, "t", ""},
		"rekey off - a+b":             {off, "", "a b"},
		"rekey off - =2D":             {off, "", "-"},
		"":                            {},
		"set 6f2c AKIAOLD":            {},
		"rekey gone t a":              {},
		"rekey set t":                 {},
		"rekey set t a b":             {},
		"rekey set t =ZZ":             {},
		"rekey set =41 b":             {}, // not as it would be written
		"rekey  t a":                  {},
	} {
		require.Equal(t, want, parseLabel(text), text)
	}
}

func FuzzLabel(f *testing.F) {
	f.Add("6f2c", "AKIAOLD", "rekey set t a")
	f.Add("-", "", "rekey off - =2D")
	f.Add("a b", "größe=%41+", "rekey drawn =41 b")
	f.Fuzz(func(t *testing.T, token, after, text string) {
		want := label{set, token, after}
		require.Equal(t, want, parseLabel(want.String()))
		const inTags = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 -_.=+~"
		require.Empty(t, strings.Trim(want.String(), inTags))
		if got := parseLabel(text); got.state != foreign {
			require.Equal(t, text, got.String())
		}
	})
}
