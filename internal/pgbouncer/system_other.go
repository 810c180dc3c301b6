//go:build !linux

package pgbouncer

import (
	"context"
	"log"
	"os/exec"
)

func find(context.Context, *log.Logger) (string, error) { return exec.LookPath("pgbouncer") }
