package generate_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate/generate"
	"github.com/rekey-go/rekey/source"
)

func FuzzAPIKeyPrefix(f *testing.F) {
	f.Add("acme_live", []byte("seed"))
	f.Add("", []byte{})
	f.Add("k_"+strings.Repeat("0", 49), []byte{})
	f.Fuzz(func(t *testing.T, text string, seed []byte) {
		if prefix, ok := generate.APIKeyPrefix(source.NewSecret(text)); ok {
			require.True(t, strings.HasPrefix(text, prefix+"_"))
		}
		key, err := generate.APIKeyFrom(seeded(string(seed)), text)
		prefix, ok := generate.APIKeyPrefix(key)
		require.Equal(t, err == nil, ok)
		if ok {
			require.Equal(t, text, prefix)
		}
	})
}

func FuzzPassword(f *testing.F) {
	f.Add(0, "abc", "012", "b", true, false)
	f.Add(12, "md5", "-", "", false, true)
	f.Fuzz(func(t *testing.T, length int, one, two, exclude string, each, weak bool) {
		p, err := generate.Password(&generate.PasswordOptions{Length: length, Classes: []string{one, two}, Exclude: exclude, RequireEach: each, Weak: weak})
		if err != nil {
			require.True(t, p.IsEmpty())
			return
		}
		text := p.Reveal()
		if length > 0 {
			require.Len(t, text, length)
		}
		require.Empty(t, strings.Trim(text, one+two))
		require.False(t, strings.ContainsAny(text, exclude))
		require.False(t, strings.HasPrefix(text, "md5") || strings.HasPrefix(text, "SCRAM-"))
		if each {
			require.True(t, strings.ContainsAny(text, one) && strings.ContainsAny(text, two))
		}
	})
}
