package file_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/source/file"
)

// inotifyInstances counts those that this process has open.
func inotifyInstances(t *testing.T) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	for _, entry := range entries {
		target, err := os.Readlink(filepath.Join("/proc/self/fd", entry.Name()))
		if err == nil && target == "anon_inode:inotify" {
			n++
		}
	}
	return n
}

func TestF39_ManyFilesOneInstance(t *testing.T) {
	require.Zero(t, inotifyInstances(t))
	root := t.TempDir()
	t.Run("watching", func(t *testing.T) {
		var sources []*file.Source
		var observers []*observer
		path := func(i int) string { return filepath.Join(root, fmt.Sprint(i%100), fmt.Sprint("db", i)) }
		for i := range 1000 {
			write(t, path(i), jsonOf("app", "one"))
			src := file.JSON(path(i), eventsOnly)
			sources, observers = append(sources, src), append(observers, observe(t, src))
		}
		assert.Equal(t, 1, inotifyInstances(t))
		for i := range sources {
			replace(t, path(i), jsonOf("app", "two"))
		}
		for i, o := range observers {
			o.await(t, sources[i], "two")
		}
	})
	assert.Zero(t, inotifyInstances(t), "the last stop closes it")
}
