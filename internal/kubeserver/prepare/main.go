// Command prepare builds the Kubernetes API server that tests use, which takes minutes
// the first time and nothing afterwards.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/rekey-go/rekey/internal/kubeserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := kubeserver.Prepare(ctx, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
