package file_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/file"
)

// eventsOnly switches the poll off, so that only events can be noticed.
var eventsOnly = &file.Options{Poll: -1}

func TestF31_TwoSwapsInARow(t *testing.T) {
	for name, open := range map[string]func(dir string) *file.Source{
		"Dir":  func(dir string) *file.Source { return file.Dir(dir, eventsOnly) },
		"JSON": func(dir string) *file.Source { return file.JSON(filepath.Join(dir, "json"), eventsOnly) },
	} {
		t.Run(name, func(t *testing.T) {
			v := volume{dir: t.TempDir()}
			put := func(password string) {
				files := login("app", password)
				files["json"] = jsonOf("app", password)
				require.NoError(t, v.swap(files))
			}
			put("first")
			src := open(v.dir)
			read(t, src)
			o := observe(t, src)
			for _, password := range []string{"second", "third", "fourth"} {
				put("passing")
				put(password)
				o.await(t, src, password)
			}
			put("single")
			o.await(t, src, "single")
		})
	}
}

func TestWatchFollowsEveryLink(t *testing.T) {
	root := t.TempDir()
	at := func(parts ...string) string { return filepath.Join(append([]string{root}, parts...)...) }
	link := func(target, name string) {
		require.NoError(t, os.Symlink(target, name+".tmp"))
		require.NoError(t, os.Rename(name+".tmp", name))
	}
	write(t, at("v1", "db"), jsonOf("app", "one"))
	write(t, at("v2", "db"), jsonOf("app", "two"))
	require.NoError(t, os.MkdirAll(at("etc"), 0o755))
	link("v1", at("current"))
	link(filepath.Join("..", "current", "db"), at("etc", "db"))

	src := file.JSON(at("etc", "db"), eventsOnly)
	o := observe(t, src)
	assert.Equal(t, "one", read(t, src).Password.Reveal())
	link("v2", at("current"))
	o.await(t, src, "two")
	write(t, at("v2", "db"), jsonOf("app", "two, rewritten"))
	o.await(t, src, "two, rewritten")
	write(t, at("db3"), jsonOf("app", "three"))
	link(at("db3"), at("etc", "db"))
	o.await(t, src, "three")
	replace(t, at("db3"), jsonOf("app", "four"))
	o.await(t, src, "four")
}

func TestWatchBeforeTheDirectoryExists(t *testing.T) {
	for name, opts := range map[string]*file.Options{
		"events": eventsOnly,
		"polls":  {Poll: time.Millisecond, Logger: quiet()},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "polls" {
				file.FailWatcher(t, syscall.EMFILE)
			}
			t.Run("JSON", func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "a", "b")
				path := filepath.Join(dir, "c", "db")
				src := file.JSON(path, opts)
				o := observe(t, src)
				for range 5 {
					write(t, path, jsonOf("app", "one"))
					o.await(t, src, "one")
					require.NoError(t, os.RemoveAll(dir))
					o.awaitError(t, src)
				}
			})
			t.Run("Dir", func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "a", "b")
				src := file.Dir(filepath.Join(dir, "c"), opts)
				o := observe(t, src)
				for range 5 {
					write(t, filepath.Join(dir, "c", "username"), "app")
					write(t, filepath.Join(dir, "c", "password"), "two")
					o.await(t, src, "two")
					require.NoError(t, os.RemoveAll(dir))
					o.awaitError(t, src)
				}
			})
		})
	}
}

func TestPollMakesUpForLostEvents(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	opts := &file.Options{Poll: 10 * time.Millisecond}
	single := file.JSON(filepath.Join(dir, "c", "db"), opts)
	many := file.Dir(filepath.Join(dir, "d"), opts)
	forSingle, forMany := observe(t, single), observe(t, many)
	// Directories that come and go side by side, and look like those before.
	for i := range 30 {
		password := fmt.Sprint("password ", i)
		write(t, filepath.Join(dir, "c", "db"), jsonOf("app", password))
		write(t, filepath.Join(dir, "d", "username"), "app")
		write(t, filepath.Join(dir, "d", "password"), password)
		forSingle.await(t, single, password)
		forMany.await(t, many, password)
		require.NoError(t, os.RemoveAll(dir))
	}
}

func TestWatchSeesWhatChangedSinceTheRead(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "db"), jsonOf("app", "one"))
	src := file.JSON(path, eventsOnly)
	read(t, src)
	replace(t, path, jsonOf("app", "two"))
	observe(t, src).await(t, src, "two")
}

func TestWatchIgnoresNeighbours(t *testing.T) {
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "db"), jsonOf("app", "one"))
	src := file.JSON(path, eventsOnly)
	o := observe(t, src)
	for range 100 {
		write(t, filepath.Join(dir, "neighbour"), "noise")
	}
	// The order of events is kept: when this one is seen, those have been.
	replace(t, path, jsonOf("app", "two"))
	o.await(t, src, "two")
	assert.LessOrEqual(t, o.count(), 3)
}

func TestWatchAfterLostEvents(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "db"), jsonOf("app", "one"))
	src := file.JSON(path, eventsOnly)
	o := observe(t, src)
	file.LoseEvents()
	o.await(t, src, "one")
}

func TestWatchReadsAgainOnSIGHUP(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "db"), jsonOf("app", "one"))
	listening := file.JSON(path, &file.Options{Poll: -1, OnSIGHUP: true})
	deaf := file.JSON(path, eventsOnly)
	first, second, third := observe(t, listening), observe(t, listening), observe(t, deaf)
	self, err := os.FindProcess(os.Getpid())
	require.NoError(t, err)
	require.NoError(t, self.Signal(syscall.SIGHUP))
	first.await(t, listening, "one")
	second.await(t, listening, "one")
	assert.Zero(t, third.count())
}

func TestF39_PollsOnlyWithoutInotify(t *testing.T) {
	file.FailWatcher(t, syscall.EMFILE)
	var log bytes.Buffer
	opts := &file.Options{Poll: time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	dir := t.TempDir()
	path := filepath.Join(dir, "db")
	write(t, path, jsonOf("app", "one"))
	var sources []*file.Source
	var observers []*observer
	for range 10 {
		src := file.JSON(path, opts)
		sources, observers = append(sources, src), append(observers, observe(t, src))
	}
	for _, password := range []string{"two", "three"} {
		replace(t, path, jsonOf("app", password))
		for i, o := range observers {
			o.await(t, sources[i], password)
		}
	}
	// Nothing writes to the log any more: only the first watch warns.
	assert.Equal(t, 1, strings.Count(log.String(), "polled only"), log.String())
}

func TestWatchEndsWithTheLastStop(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "db"), jsonOf("app", "one"))
	src := file.JSON(path, &file.Options{Poll: time.Millisecond, OnSIGHUP: true})
	for range 20 {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				stop := src.Watch(func() {})
				stop()
				stop()
			})
		}
		wg.Wait()
		require.NoError(t, goleak.Find())
	}
}

func TestWatchUnderChurn(t *testing.T) {
	v := volume{dir: t.TempDir()}
	require.NoError(t, v.swap(login("app", "start")))
	src := file.Dir(v.dir, &file.Options{Poll: time.Millisecond})
	o := observe(t, src)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				src.Watch(func() {})()
			}
		})
	}
	for n := range 200 {
		require.NoError(t, v.swap(login("app", fmt.Sprint("passing ", n))))
	}
	wg.Wait()
	require.NoError(t, v.swap(login("app", "end")))
	o.await(t, src, "end")
}

var _ source.Watcher = (*file.Source)(nil)
