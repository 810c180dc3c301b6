package file

import (
	"testing"

	"github.com/fsnotify/fsnotify"
)

// FailWatcher makes the system refuse a watcher until the end of the test.
func FailWatcher(t *testing.T, err error) {
	old := shared.newWatcher
	shared.newWatcher = func() (*fsnotify.Watcher, error) { return nil, err }
	t.Cleanup(func() { shared.newWatcher = old })
}

// LoseEvents acts as if the system had dropped events.
func LoseEvents() { notify(shared.lost) }
