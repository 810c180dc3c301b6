// Rotate-job rotates the secrets that one file describes, and ends.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/rekey-go/rekey/examples/rotate-job/job"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	j := &job.Job{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	code := j.Run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}
