// Package buildonce builds programs of nested modules that are too heavy to be
// built for each run of the tests: once for each user and source, into the user's
// cache folder.
package buildonce

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/rekey-go/rekey/internal/filelock"
)

// A Program is a main package in a module of its own.
type Program struct {
	Name  string   // of its files in the cache
	Title string   // for people
	Dir   string   // the module's folder
	Env   []string // beside our own environment
	Flags []string // of go build
}

// Quick compiles in two thirds of the time: nothing is inlined, and there is no
// debugging information. What else is built of the same packages should be built
// with it, too, since only then is it compiled once.
const Quick = "-gcflags=all=-l -dwarf=false"

// Path returns the program for this very source, made once for this user and
// then found again.
func (p Program) Path(ctx context.Context, log *log.Logger) (string, error) {
	key, err := p.digest()
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "rekey")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(cache, p.Name+"-"+key)
	if used(path) {
		return path, nil
	}
	// Test binaries run side by side: one builds, the others wait for it.
	unlock, err := filelock.Lock(ctx, filepath.Join(cache, p.Name+".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if used(path) {
		return path, nil
	}
	log.Printf("building %s for tests into %s: once, some minutes", p.Title, path)
	begin := time.Now()
	if err := p.compile(ctx, path); err != nil {
		return "", err
	}
	log.Printf("%s is built, in %s", p.Title, time.Since(begin).Round(time.Second))
	p.tidy(cache)
	return path, nil
}

// digest names what the program is made from and for.
func (p Program) digest() (string, error) {
	if _, err := os.Stat(filepath.Join(p.Dir, "go.mod")); err != nil {
		return "", fmt.Errorf("the source of %s is not here: this program was built elsewhere or with -trimpath", p.Dir)
	}
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, setting := range append(p.Env, p.Flags...) {
		fmt.Fprintln(h, setting)
	}
	files, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
	if err != nil {
		return "", err
	}
	for _, name := range append(files, filepath.Join(p.Dir, "go.mod"), filepath.Join(p.Dir, "go.sum")) {
		text, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, filepath.Base(name), len(text))
		h.Write(text)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// used says that a program is there, and marks it as in use.
func used(path string) bool {
	now := time.Now()
	return os.Chtimes(path, now, now) == nil
}

// tidy removes programs of this name that nobody has used for a week.
func (p Program) tidy(cache string) {
	old, _ := filepath.Glob(filepath.Join(cache, p.Name+"-*")) // the pattern is well-formed
	for _, path := range old {
		if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > 7*24*time.Hour {
			_ = os.Remove(path) // next time then
		}
	}
}
