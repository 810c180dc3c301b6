package file

import (
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// shared watches the files of all sources: the system gives a user few
// instances of its watching service, so a process takes one.
var shared = &hub{newWatcher: fsnotify.NewWatcher}

// A hub runs while there is a subscription: one goroutine for events, polls and
// signals, and those of the watcher.
type hub struct {
	newWatcher func() (*fsnotify.Watcher, error)

	life sync.Mutex // held from the decision to start or end until it is done
	quit chan struct{}
	done chan struct{}

	mu      sync.Mutex
	subs    map[*subscription]bool
	watcher *fsnotify.Watcher      // nil: polls only
	refs    map[string]int         // how many subscriptions want a directory watched
	watched map[string]fs.FileInfo // the directories that are
	warned  bool                   // of a directory that cannot be
	wake    chan struct{}
	lost    chan struct{} // the watcher has lost events
	signals chan os.Signal
	sighups int // subscriptions that want the signal
}

// watch subscribes changed to what concerns s.
func (h *hub) watch(s *Source, changed func()) (stop func()) {
	sub := &subscription{src: s, changed: changed, due: time.Now()}
	s.mu.Lock()
	sub.last = s.seen
	s.mu.Unlock()
	if sub.last == nil {
		sub.last = s.look()
	}

	h.life.Lock()
	defer h.life.Unlock()
	if len(h.subs) == 0 {
		h.start(s)
	}
	h.add(sub)
	return sync.OnceFunc(func() {
		sub.silence()
		h.life.Lock()
		defer h.life.Unlock()
		if h.remove(sub) == 0 {
			close(h.quit)
			<-h.done
		}
	})
}

// start begins the goroutines on behalf of s. h.life is held.
func (h *hub) start(s *Source) {
	watcher, err := h.newWatcher()
	if err != nil {
		watcher = nil
		s.opts.Logger.Warn("files cannot be watched by events and are polled only", "path", s.path, "error", err)
	}
	h.mu.Lock()
	h.subs = make(map[*subscription]bool)
	h.watcher, h.refs, h.watched, h.warned = watcher, make(map[string]int), make(map[string]fs.FileInfo), false
	h.wake, h.lost, h.signals = make(chan struct{}, 1), make(chan struct{}, 1), make(chan os.Signal, 1)
	h.mu.Unlock()
	h.quit, h.done = make(chan struct{}), make(chan struct{})
	go h.run(watcher, h.quit, h.done)
}

// run serves until quit.
func (h *hub) run(watcher *fsnotify.Watcher, quit, done chan struct{}) {
	defer close(done)
	var events chan fsnotify.Event
	if watcher != nil {
		events = watcher.Events
		var errs sync.WaitGroup
		// Errors have their own goroutine: the watcher reports some while it
		// holds the lock that Add takes.
		errs.Go(func() { h.drain(watcher.Errors) })
		defer errs.Wait()
		defer func() { _ = watcher.Close() }()
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-quit:
			return
		case event, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			h.tell(func(sub *subscription) bool { return sub.concerns(event.Name) }, event)
		case <-h.lost:
			h.tell(func(*subscription) bool { return true }, fsnotify.Event{})
		case <-h.signals:
			h.tell(func(sub *subscription) bool { return sub.src.opts.OnSIGHUP }, fsnotify.Event{})
		case <-h.wake:
			timer.Reset(0)
		case <-timer.C:
			timer.Reset(h.poll())
		}
	}
}

// drain reads the watcher's errors; an overflow means that events are lost.
func (h *hub) drain(errs <-chan error) {
	for err := range errs {
		if errors.Is(err, fsnotify.ErrEventOverflow) {
			notify(h.lost)
		}
	}
}

// tell follows event and calls those subscriptions that it concerns, without a
// lock that they could want.
func (h *hub) tell(concerns func(*subscription) bool, event fsnotify.Event) {
	h.mu.Lock()
	var told []*subscription
	for sub := range h.subs {
		if concerns(sub) {
			told = append(told, sub)
		}
	}
	if event.Has(fsnotify.Remove) || event.Has(fsnotify.Rename) {
		// If it was a watched directory, the watch went with it.
		h.forget(event.Name)
	}
	for _, sub := range told {
		h.follow(sub)
		sub.look()
	}
	h.mu.Unlock()
	for _, sub := range told {
		sub.fire()
	}
}

// poll looks at all files whose time has come, calls the subscriptions of those
// that have changed without an event, and returns how long to wait for the
// next.
func (h *hub) poll() time.Duration {
	h.mu.Lock()
	var told []*subscription
	now, next := time.Now(), time.Hour
	for sub := range h.subs {
		if !sub.due.IsZero() && !now.Before(sub.due) {
			h.follow(sub)
			if sub.look() {
				told = append(told, sub)
				h.renew(sub)
			}
			sub.due = time.Time{}
			if every := sub.src.opts.Poll; every > 0 {
				sub.due = now.Add(every)
			}
		}
		if !sub.due.IsZero() {
			next = min(next, sub.due.Sub(now))
		}
	}
	h.mu.Unlock()
	for _, sub := range told {
		sub.fire()
	}
	return next
}

func (h *hub) add(sub *subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.subs[sub] = true
	h.follow(sub)
	if sub.src.opts.OnSIGHUP {
		if h.sighups++; h.sighups == 1 {
			signal.Notify(h.signals, syscall.SIGHUP)
		}
	}
	notify(h.wake)
}

// remove returns how many subscriptions are left.
func (h *hub) remove(sub *subscription) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.subs, sub)
	h.release(sub.dirs)
	if sub.src.opts.OnSIGHUP {
		if h.sighups--; h.sighups == 0 {
			signal.Stop(h.signals)
		}
	}
	return len(h.subs)
}

// follow watches the directories that sub needs now. h.mu is held.
func (h *hub) follow(sub *subscription) {
	// The way may change between finding it and watching it: look again until
	// it is the one that is watched. Polls follow too, so a few times do.
	for range 5 {
		old := sub.dirs
		news := sub.reroute()
		if news {
			for _, dir := range sub.dirs {
				h.refs[dir]++
			}
			h.release(old)
		}
		if added := h.addWatches(sub); !news && !added {
			return
		}
	}
}

// addWatches watches what is not watched yet and reports whether there was
// anything. h.mu is held.
func (h *hub) addWatches(sub *subscription) (added bool) {
	if h.watcher == nil {
		return false
	}
	for _, dir := range sub.dirs {
		// The watch is of the directory, not of its name: another one under
		// the same name needs its own.
		info, err := os.Stat(dir)
		if err == nil {
			if watched := h.watched[dir]; watched != nil && os.SameFile(watched, info) {
				continue
			}
			h.forget(dir)
			err = h.watcher.Add(dir)
		}
		switch {
		case err == nil:
			h.watched[dir], added = info, true
		case errors.Is(err, fs.ErrNotExist): // an ordinary race; the poll looks after it
		case !h.warned:
			h.warned = true
			sub.src.opts.Logger.Warn("a directory cannot be watched by events and is polled only", "path", dir, "error", err)
		}
	}
	return added
}

// renew watches the directories of sub anew, since an event has not come that
// should have. fsnotify drops the end of a directory whose parent has just
// become watched, and a new directory may look just like the old one. h.mu is
// held.
func (h *hub) renew(sub *subscription) {
	for _, dir := range sub.dirs {
		delete(h.watched, dir)
	}
	h.follow(sub)
}

// release gives up one reference to each of dirs. h.mu is held.
func (h *hub) release(dirs []string) {
	for _, dir := range dirs {
		if h.refs[dir]--; h.refs[dir] == 0 {
			delete(h.refs, dir)
			h.forget(dir)
		}
	}
}

// forget ends the watch of dir, if there is one. h.mu is held.
func (h *hub) forget(dir string) {
	if h.watched[dir] != nil {
		delete(h.watched, dir)
		_ = h.watcher.Remove(dir) // it may have ended by itself
	}
}

// notify puts a notice into a channel of one slot; a second is the same one.
func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
