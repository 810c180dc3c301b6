package postgres

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMarksStandBehindWhatPeopleHaveWritten(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
	for _, text := range []string{"", "the shop", "[see wiki]", "ends with ]", "two\nlines", "[rekey is used here]", " blanks "} {
		m := mark{"4e0c5a4e-0000-4000-8000-000000000000", at}
		got, parsed := parseMark(m.behind(text))
		require.Equal(t, m, parsed, text)
		require.Equal(t, text, got)
		again, second := parseMark(mark{"other", at}.behind(got))
		require.Equal(t, text, again, "one mark takes the other's place")
		require.Equal(t, "other", second.token)
	}
	for _, text := range []string{"", "the shop", "[rekey x]", "[rekey x yesterday]", "[rekey x 2026-99-01T00:00:00Z]", "[rekey x 2026-03-01T12:00:00Z] and more"} {
		got, m := parseMark(text)
		require.Equal(t, text, got)
		require.Zero(t, m)
	}
}

func FuzzParseMark(f *testing.F) {
	f.Add("the shop [rekey x 2026-03-01T12:00:00Z]")
	f.Add(" [rekey x 2026-03-01T12:00:00.5Z]")
	f.Fuzz(func(t *testing.T, comment string) {
		text, m := parseMark(comment)
		if m.token == "" && text != comment {
			t.Errorf("%q has become %q", comment, text)
		}
		if m.token != "" {
			again, same := parseMark(m.behind(text))
			if again != text || same != m {
				t.Errorf("%q: %q and %v, then %q and %v", comment, text, m, again, same)
			}
		}
	})
}
