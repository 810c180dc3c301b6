package rekey_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var link = regexp.MustCompile(`\[([^][]*)\]\(([^)#\s]+)(?:#[^)]*)?\)`)

// Every page's links lead to something: one that is called like a test, to its file.
func TestLinksLeadSomewhere(t *testing.T) {
	links := 0
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".md" {
			return err
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[2], "://") {
				continue
			}
			links++
			target := filepath.Join(filepath.Dir(path), m[2])
			_, err := os.Stat(target)
			require.NoError(t, err, "%s: %s", path, m[0])
			if strings.HasPrefix(m[1], "Test") {
				code, err := os.ReadFile(target)
				require.NoError(t, err)
				require.True(t, strings.Contains(string(code), "func "+m[1]+"("), "%s: %s", path, m[0])
			}
		}
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, links, 100)
}

// The checklist has a row for each item, and each names what is there: a test, if
// it is called like one, is in that file.
func TestChecklist(t *testing.T) {
	text, err := os.ReadFile("docs/checklist.md")
	require.NoError(t, err)
	n := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 {
			continue
		}
		number, err := strconv.Atoi(strings.TrimSpace(cells[1]))
		if err != nil {
			continue // the head
		}
		n++
		require.Equal(t, n, number)
		where := link.FindAllStringSubmatch(cells[3], -1)
		require.NotEmpty(t, where, line)
		for _, m := range where {
			path := filepath.Join("docs", m[2])
			if !strings.HasPrefix(m[1], "Test") && !strings.HasPrefix(m[1], "Fuzz") {
				_, err := os.Stat(path)
				require.NoError(t, err, line)
				continue
			}
			code, err := os.ReadFile(path)
			require.NoError(t, err, line)
			require.Contains(t, string(code), "func "+m[1]+"(", line)
		}
	}
	require.Equal(t, 93, n)
}

// The tests that the promises name are there.
func TestPromisesAreTested(t *testing.T) {
	var code strings.Builder
	err := filepath.WalkDir(".", func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		code.Write(text)
		return err
	})
	require.NoError(t, err)
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	promises := 0
	for line := range strings.Lines(string(readme)) {
		if !strings.HasPrefix(line, "| G") {
			continue
		}
		promises++
		for _, m := range regexp.MustCompile("`(Test\\w+)…?`").FindAllStringSubmatch(line, -1) {
			require.Contains(t, code.String(), "func "+m[1], line)
		}
	}
	require.Equal(t, 12, promises)
}
