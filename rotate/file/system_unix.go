//go:build unix

package file

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// lock takes a lock that processes share; it ends with the process at the latest.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return func() { file.Close() }, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			file.Close()
			return nil, &fs.PathError{Op: "flock", Path: path, Err: err}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			file.Close()
			return nil, &fs.PathError{Op: "flock", Path: path, Err: ctx.Err()}
		}
	}
}

// own gives file the owner and the group of like, or the group at least, if we
// may do that.
func own(file *os.File, like fs.FileInfo) {
	if stat, ok := like.Sys().(*syscall.Stat_t); ok && file.Chown(int(stat.Uid), int(stat.Gid)) != nil {
		_ = file.Chown(-1, int(stat.Gid)) // then it cannot be
	}
}

// syncDir has what was renamed in a directory on the disk.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
