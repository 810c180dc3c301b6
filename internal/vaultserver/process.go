package vaultserver

import (
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/rekey-go/rekey/internal/child"
)

// ours is as whom everything runs here: Vault has nothing against root.
var ours child.Account

// launch starts a command whose output goes to the end of a file.
func launch(cmd *exec.Cmd, logFile string) (*child.Process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	return ours.Start(cmd, syscall.SIGKILL)
}

// freePort is a loopback address that nobody listens on. The port lies below
// those that systems give to outgoing connections, so that none of them takes
// it, or connects to itself, while the server is stopped.
func freePort() string {
	for {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(20000+rand.IntN(12000)))
		if portFree(addr) {
			return addr
		}
	}
}

func portFree(addr string) bool {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	return l.Close() == nil
}
