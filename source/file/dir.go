package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/rekey-go/rekey/source"
)

// dataLink is the link in a Kubernetes volume that is swapped at each update.
const dataLink = "..data"

// readDir reads the directory until one read is sure to be of one generation.
func (s *Source) readDir(ctx context.Context) (source.Credential, error) {
	var before map[string]string
	for range 50 {
		if err := ctx.Err(); err != nil {
			return source.Credential{}, err
		}
		base, atomic := s.base()
		values, err := s.readFields(base)
		again, _ := s.base()
		switch {
		case again != base || errors.Is(err, fs.ErrNotExist) && exists(base):
			before = nil // the files were swapped, or one vanished, meanwhile
		case err != nil:
			return source.Credential{}, err
		case atomic, before != nil && maps.Equal(before, values):
			// Old generations are deleted only after the swap, so with the
			// same base before and after, everything was there all the time.
			return s.dirCredential(values)
		default:
			before = values
		}
	}
	return source.Credential{}, fmt.Errorf("%s: %w", s.path, errUnsettled)
}

// base returns the directory that holds the files now, and whether ..data
// points to it, so that all of them change at once.
func (s *Source) base() (dir string, atomic bool) {
	link, err := os.Readlink(filepath.Join(s.path, dataLink))
	switch {
	case err != nil:
		return s.path, false
	case filepath.IsAbs(link):
		return link, true
	}
	return filepath.Join(s.path, link), true
}

// readFields reads each regular file in dir.
func (s *Source) readFields(dir string) (map[string]string, error) {
	values := make(map[string]string)
	left := s.opts.MaxSize
	err := eachFile(dir, func(name string, _ fs.FileInfo) error {
		data, err := readFile(filepath.Join(dir, name), left)
		if errors.Is(err, ErrTooLarge) {
			return tooLarge(s.path, s.opts.MaxSize)
		}
		if err != nil {
			return err
		}
		left -= int64(len(data))
		values[name] = trimLineBreak(string(data))
		if len(data) == 0 && s.isLogin(name) {
			return fmt.Errorf("%s: %w", filepath.Join(s.path, name), ErrEmpty)
		}
		return nil
	})
	return values, err
}

func (s *Source) dirCredential(values map[string]string) (source.Credential, error) {
	if len(values) == 0 {
		return source.Credential{}, fmt.Errorf("%s: %w", s.path, ErrEmpty)
	}
	for name, value := range values {
		if !s.isLogin(name) && strings.Contains(value, noValue) {
			return source.Credential{}, s.fieldError(name, isNoValue)
		}
	}
	return s.credential(values)
}

// eachFile calls do for each regular file in dir, or link to one, whose name
// does not begin with two dots.
func eachFile(dir string, do func(name string, info fs.FileInfo) error) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("file: %w", err)
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), "..") {
			continue
		}
		info, err := os.Stat(filepath.Join(dir, entry.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // a link to nowhere, or gone since the listing
		}
		if err != nil {
			return fmt.Errorf("file: %w", err)
		}
		if !info.Mode().IsRegular() {
			continue
		}
		if err := do(entry.Name(), info); err != nil {
			return err
		}
	}
	return nil
}

// trimLineBreak drops one \n or \r\n at the end.
func trimLineBreak(s string) string {
	line, ok := strings.CutSuffix(s, "\n")
	if ok {
		line = strings.TrimSuffix(line, "\r")
	}
	return line
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
