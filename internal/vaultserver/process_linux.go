package vaultserver

import (
	"os/exec"
	"syscall"
)

// adjust puts the child into a process group of its own and ties its life to ours.
func adjust(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// killGroup may come too late, which is as good.
func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
