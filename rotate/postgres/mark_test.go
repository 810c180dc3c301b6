package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMarksStandBehindWhatPeopleHaveWritten(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
	for _, text := range []string{"", "the shop", "[see wiki]", "ends with ]", "two\nlines", "[rekey is used here]", " blanks "} {
		for _, m := range []mark{
			{token: "4e0c5a4e-0000-4000-8000-000000000000", at: at},
			{token: "a", at: at, after: "b", spent: []string{"c", "d"}},
			{at: at, spent: []string{"c"}},
			{token: "a", at: at, line: "o'neil, \"x\"]"},
			{token: "a", at: at, after: "b", line: "c", spent: []string{"d"}},
			{token: "x", at: at, line: "app", off: at.Add(time.Hour), spent: []string{"a"}},
			{token: "-", at: at, after: "-", spent: []string{"", "-"}},
			{token: "v/1 after=2] [rekey", at: at, after: "ä,%", spent: []string{"a,b", "\x00\xff"}},
		} {
			got, parsed := parseMark(m.behind(text))
			require.Equal(t, m, parsed, text)
			require.Equal(t, text, got)
			again, second := parseMark(mark{token: "other", at: at}.behind(got))
			require.Equal(t, text, again, "one mark takes the other's place")
			require.Equal(t, "other", second.token)
		}
	}
	for _, text := range []string{
		"", "the shop", "[rekey x]", " [rekey x yesterday]", " [rekey x 2026-99-01T00:00:00Z]", " [rekey x 2026-03-01T12:00:00Z] and more",
		" [rekey %zz 2026-03-01T12:00:00Z]", " [rekey x 2026-03-01T12:00:00Z after=%]", " [rekey x 2026-03-01T12:00:00Z spent=a,%]",
		" [rekey x 0001-01-01T00:00:00Z]", " [rekey x 2026-03-01T12:00:00Z off=2026-13-01T00:00:00Z]", " [rekey x 2026-03-01T12:00:00Z spent=a after=b]",
	} {
		got, m := parseMark(text)
		require.Equal(t, text, got)
		require.Zero(t, m)
	}
}

func TestMarksRememberWhatWasGivenUp(t *testing.T) {
	m := mark{}.set("one", "zero")
	require.Equal(t, mark{token: "one", after: "zero"}, m)
	require.Equal(t, mark{token: "one", after: "zero"}, m.set("one", "zero"))
	require.Equal(t, mark{token: "two", after: "one"}, m.set("two", "one"))
	require.Equal(t, mark{token: "two", after: "zero", spent: []string{"one"}}, m.set("two", "zero"), "both began at zero")
	for i := range 2 * mostSpent {
		m = m.spend(fmt.Sprint(i)).spend(fmt.Sprint(i))
	}
	require.Len(t, m.spent, mostSpent)
	require.Equal(t, fmt.Sprint(2*mostSpent-1), m.spent[mostSpent-1])
}

func FuzzParseMark(f *testing.F) {
	f.Add("the shop [rekey x 2026-03-01T12:00:00Z]")
	f.Add(" [rekey x 2026-03-01T12:00:00Z line=app off=2026-03-02T12:00:00Z]")
	f.Add(" [rekey - 2026-03-01T12:00:00.5Z after=a%20b spent=-,c]")
	f.Fuzz(func(t *testing.T, comment string) {
		text, m := parseMark(comment)
		if m.at.IsZero() {
			require.Equal(t, comment, text)
			return
		}
		again, same := parseMark(m.behind(text))
		require.Equal(t, text, again)
		require.Equal(t, m, same)
	})
}
