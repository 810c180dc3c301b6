package file

import (
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// A subscription is one caller of Watch.
type subscription struct {
	src *Source

	// Guarded by the hub's mutex.
	paths  []string // see Source.route
	inside string
	dirs   []string // the parents of paths and inside: what is watched
	last   *state   // of the latest look
	due    time.Time

	mu      sync.Mutex // held while changed runs, so that stop can promise that it runs no more
	changed func()
}

func (sub *subscription) fire() {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	if sub.changed != nil {
		sub.changed()
	}
}

func (sub *subscription) silence() {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	sub.changed = nil
}

// concerns reports whether an event for path means that the file may have
// changed.
func (sub *subscription) concerns(path string) bool {
	return slices.Contains(sub.paths, path) ||
		sub.inside != "" && filepath.Dir(path) == sub.inside ||
		slices.Contains(sub.dirs, path)
}

// reroute finds out what to watch and reports whether that is news.
func (sub *subscription) reroute() bool {
	paths, inside := sub.src.route()
	if sub.dirs != nil && inside == sub.inside && slices.Equal(paths, sub.paths) {
		return false
	}
	sub.paths, sub.inside = paths, inside
	dirs := make([]string, 0, len(paths)+1)
	for _, path := range paths {
		dirs = append(dirs, filepath.Dir(path))
	}
	if inside != "" {
		dirs = append(dirs, inside)
	}
	slices.Sort(dirs)
	sub.dirs = slices.Compact(dirs)
	return true
}

// look looks at the file and reports whether it has changed since the last
// look.
func (sub *subscription) look() (changed bool) {
	now := sub.src.look()
	changed = !now.equal(sub.last)
	sub.last = now
	return changed
}
