package pgserver

import (
	"syscall"

	"github.com/rekey-go/rekey/internal/child"
)

// account is as whom a server runs where this process is root.
var account = child.Account{"postgres", "nobody"}

// shutdown is the signal that tells a postmaster how to end.
type shutdown syscall.Signal

const (
	fast      = shutdown(syscall.SIGINT)
	immediate = shutdown(syscall.SIGQUIT)
)
