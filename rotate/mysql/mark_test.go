package mysql

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMarksAreASCIIAndComeBack(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
	for _, m := range []mark{
		{Token: "4e0c5a4e-0000-4000-8000-000000000000", At: at},
		{Token: "a", At: at, After: "b", Old: true, Spent: []string{"c", "d"}, Last: 7, Gone: 9, Server: "db:3306", Start: 1772366400},
		{At: at, Spent: []string{""}},
		{Token: `it's "\ `, At: at, After: "größe 🗝️\n", Server: "<&>:1", Last: 1 << 63},
	} {
		text := m.text()
		for _, c := range []byte(text) {
			require.Less(t, c, byte(0x80))
		}
		require.Equal(t, m, parseMark([]byte(text)))
	}
	for _, text := range []string{
		"", "null", "{}", "[]", `"x"`, `{"token": "a"}`, `{"token": "a", "at": "yesterday"}`, `{"token": 1, "at": "2026-03-01T12:00:00Z"}`,
		`{"token": "a", "at": "0001-01-01T00:00:00Z"}`, `{"at": "2026-03-01T12:00:00Z", "last": -1}`,
	} {
		require.Zero(t, parseMark([]byte(text)), text)
	}
}

func TestMarksRememberWhatWasGivenUp(t *testing.T) {
	m := mark{}.set("one", "zero")
	require.Equal(t, mark{Token: "one", After: "zero"}, m)
	require.Equal(t, mark{Token: "one", After: "zero"}, m.set("one", "zero"))
	require.Equal(t, mark{Token: "two", After: "one"}, m.set("two", "one"))
	require.Equal(t, mark{Token: "two", After: "zero", Spent: []string{"one"}}, m.set("two", "zero"), "both began at zero")
	for i := range 2 * mostSpent {
		m = m.spend(fmt.Sprint(i)).spend(fmt.Sprint(i))
	}
	require.Len(t, m.Spent, mostSpent)
	require.Equal(t, fmt.Sprint(2*mostSpent-1), m.Spent[mostSpent-1])
}

func FuzzParseMark(f *testing.F) {
	f.Add([]byte(`{"token": "x", "at": "2026-03-01T12:00:00.5Z", "after": "ä", "old": true, "spent": ["c"], "last": 9, "server": "db:1"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m := parseMark(text)
		if m.At.IsZero() {
			require.Zero(t, m)
			return
		}
		again := parseMark([]byte(m.text()))
		require.True(t, m.At.Equal(again.At))
		m.At = again.At // the zone may be written otherwise
		require.Equal(t, m, again)
	})
}

func TestVersions(t *testing.T) {
	for version, ok := range map[string]bool{
		"8.0.21": true, "8.0.20": false, "8.0": false, "8.4.3": true, "9.7.4-2": true, "5.7.44-log": false, "8.0.36-0ubuntu0.22.04.1": true, "": false, "x": false,
	} {
		require.Equal(t, ok, checkVersion(version, false) == nil, version)
	}
	for version, ok := range map[string]bool{
		"10.11.6-MariaDB": true, "10.4.0-MariaDB-log": true, "10.3.39-MariaDB": false, "11.4.2-MariaDB": true,
	} {
		err := checkVersion(version, true)
		require.Equal(t, ok, err == nil, version)
		if err != nil {
			var old *VersionError
			require.ErrorAs(t, err, &old)
			require.ErrorContains(t, err, version)
		}
	}
}
