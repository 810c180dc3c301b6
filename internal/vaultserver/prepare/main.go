// Command prepare builds the Vault server that tests use, which takes minutes
// the first time and nothing afterwards.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/rekey-go/rekey/internal/vaultserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := vaultserver.Prepare(ctx, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
