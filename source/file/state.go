package file

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A state is what a file looks like from outside: different states mean that
// the content may be different.
type state struct {
	target   string // the path behind all links; empty: not there
	files    map[string]fs.FileInfo
	modified time.Time // the latest of files
}

// look returns the present state of what s reads.
func (s *Source) look() *state {
	path := s.path
	if s.dir {
		path, _ = s.base()
	}
	st := &state{files: make(map[string]fs.FileInfo)}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return st
	}
	st.target = target
	add := func(name string, info fs.FileInfo) error {
		st.files[name] = info
		if info.ModTime().After(st.modified) {
			st.modified = info.ModTime()
		}
		return nil
	}
	if s.dir {
		_ = eachFile(target, add) // what cannot be listed is no part of the state
	} else if info, err := os.Stat(target); err == nil {
		_ = add(target, info)
	}
	return st
}

func (st *state) equal(other *state) bool {
	return st.target == other.target && maps.EqualFunc(st.files, other.files, func(a, b fs.FileInfo) bool {
		return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && os.SameFile(a, b)
	})
}

// route returns the paths whose change means that another file may be read:
// every link on the way and the file itself. If it is not there, the last is
// the first part of the path that is missing, so its parent can be watched.
// For a directory, inside is where its files are; otherwise it is empty.
func (s *Source) route() (paths []string, inside string) {
	if !s.dir {
		return trace(s.path), ""
	}
	paths = trace(filepath.Join(s.path, dataLink))
	if base, atomic := s.base(); atomic {
		inside = base
	} else {
		inside = s.path
	}
	if inside, err := filepath.EvalSymlinks(inside); err == nil {
		return paths, inside
	}
	return paths, ""
}

// trace follows path link by link.
func trace(path string) (paths []string) {
	const separator = string(filepath.Separator)
	start := func(path string) (at, rest string) {
		volume := filepath.VolumeName(path)
		return volume + separator, strings.TrimPrefix(path[len(volume):], separator)
	}
	at, rest := start(path)
	for links := 0; rest != ""; {
		name, after, _ := strings.Cut(rest, separator)
		next := filepath.Join(at, name)
		info, err := os.Lstat(next)
		if err != nil || links == 40 {
			return append(paths, next)
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			at, rest = next, after
			continue
		}
		links++
		paths = append(paths, next)
		target, err := os.Readlink(next)
		if err != nil {
			return paths
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(at, target)
		}
		at, rest = start(filepath.Join(target, after))
	}
	return append(paths, at)
}
