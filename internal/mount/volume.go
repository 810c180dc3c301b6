// Package mount writes files in the ways in which secrets get into pods, for
// tests of those who read them there: as the kubelet and the CSI secrets store do
// it, and as Vault Agent does.
package mount

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"
)

// A Volume is a directory that is updated the way the kubelet updates the volume
// of a Secret, and the CSI secrets store its own:
//
//	password -> ..data/password
//	..data -> ..2026_11_21_17_50_53.1185305450
//
// A new directory is filled, and the link ..data is renamed over. [Kubelet] is the
// real one; this one can be stopped between two steps. It is for one writer at a
// time.
type Volume struct {
	Dir string // is there
	// Before, if set, is called before each step, and its error ends the write
	// there, as if the writer had been killed.
	Before func(Step) error
}

// A Step of a write, in their order.
type Step string

// What a write consists of. Some come once for each file.
const (
	MakeDirectory   Step = "make the new directory"
	WriteFile       Step = "write a file"
	LinkNext        Step = "link ..data_tmp"
	Swap            Step = "rename ..data_tmp to ..data"
	LinkFile        Step = "link a file into ..data"
	UnlinkFile      Step = "remove the link of a file that is gone"
	RemoveDirectory Step = "remove the old directory"
)

const (
	data = "..data"
	next = "..data_tmp"
)

// Write makes files, by their names, the content of the volume in one instant. As
// with the kubelet nothing happens if they are that already, and what a killed
// writer has left of ..data_tmp fails all later writes.
func (v Volume) Write(files map[string]string) error {
	old, err := os.Readlink(v.path(data))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	was, err := read(v.path(old), old != "")
	if err != nil {
		return err
	}
	if old != "" && maps.Equal(was, files) {
		return v.link(files)
	}
	directory, err := v.fill(files)
	if err != nil {
		return err
	}
	err = v.do(LinkNext, func() error { return os.Symlink(directory, v.path(next)) })
	if errors.Is(err, fs.ErrExist) {
		return errors.Join(err, os.RemoveAll(v.path(directory)))
	}
	if err != nil {
		return err
	}
	if err := v.do(Swap, func() error { return os.Rename(v.path(next), v.path(data)) }); err != nil {
		return err
	}
	if err := v.link(files); err != nil {
		return err
	}
	for name := range was {
		if _, stays := files[name]; stays {
			continue
		}
		if err := v.do(UnlinkFile, func() error { return os.Remove(v.path(name)) }); err != nil {
			return err
		}
	}
	if old == "" {
		return nil
	}
	return v.do(RemoveDirectory, func() error { return os.RemoveAll(v.path(old)) })
}

// fill writes files into a new directory and returns its name.
func (v Volume) fill(files map[string]string) (name string, err error) {
	err = v.do(MakeDirectory, func() error {
		path, err := os.MkdirTemp(v.Dir, time.Now().UTC().Format("..2006_01_02_15_04_05."))
		name = filepath.Base(path)
		if err == nil {
			err = os.Chmod(path, 0o755)
		}
		return err
	})
	for file, content := range files {
		if err != nil {
			return "", err
		}
		err = v.do(WriteFile, func() error { return os.WriteFile(v.path(name, file), []byte(content), 0o440) })
	}
	return name, err
}

// link makes the links that pods see, where they are missing.
func (v Volume) link(files map[string]string) error {
	for name := range files {
		_, err := os.Readlink(v.path(name))
		if errors.Is(err, fs.ErrNotExist) {
			err = v.do(LinkFile, func() error { return os.Symlink(filepath.Join(data, name), v.path(name)) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (v Volume) do(step Step, act func() error) error {
	if v.Before != nil {
		if err := v.Before(step); err != nil {
			return fmt.Errorf("%s: %w", step, err)
		}
	}
	return act()
}

func (v Volume) path(elem ...string) string {
	return filepath.Join(append([]string{v.Dir}, elem...)...)
}

// read returns the files in a directory that there is.
func read(dir string, there bool) (map[string]string, error) {
	files := make(map[string]string)
	if !there {
		return files, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		files[entry.Name()] = string(content)
	}
	return files, nil
}
