// Rotate-job rotates the secrets that one file describes, and ends: a timer, a
// CronJob or a pipeline calls it every day. Package job has the commands and exit
// codes, docs/runbook.md what they print and what to do then, deploy what runs it.
//
//	go run ./examples/rotate-job demo # all of it on a throwaway PostgreSQL
//	go run ./examples/rotate-job      # its commands
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/rekey-go/rekey/examples/rotate-job/job"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int {
	if len(args) == 1 && args[0] == "demo" {
		s, err := runDemo(ctx, os.Stdout)
		if err == nil && s.Failed > 0 {
			err = fmt.Errorf("%d statements failed", s.Failed)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "rotate-job: demo:", err)
			return job.Failed
		}
		return job.Done
	}
	j := &job.Job{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	return j.Run(ctx, args)
}
