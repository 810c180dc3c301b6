package child

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// adjust puts the child into a process group of its own, ties its life to ours
// and gives it another account than root.
func (a Account) adjust(cmd *exec.Cmd, orphaned syscall.Signal) error {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: orphaned}
	if a != nil && os.Geteuid() == 0 {
		uid, gid, err := a.ids()
		if err != nil {
			return err
		}
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: []uint32{}}
	}
	cmd.SysProcAttr = attr
	return nil
}

// HandOver gives a directory and what is in it to the account.
func (a Account) HandOver(dir string) error {
	if a == nil || os.Geteuid() != 0 {
		return nil
	}
	uid, gid, err := a.ids()
	if err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, uid, gid))
	})
}

func (a Account) ids() (uid, gid int, err error) {
	for _, name := range a {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, badUID := strconv.Atoi(u.Uid)
		gid, badGID := strconv.Atoi(u.Gid)
		return uid, gid, errors.Join(badUID, badGID)
	}
	return 0, 0, fmt.Errorf("the server does not run as root and there is no user of %q; run: useradd --system %s", []string(a), a[0])
}

// killGroup may come too late, which is as good.
func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
