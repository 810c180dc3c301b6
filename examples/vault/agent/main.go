//go:build minimal

// Command agent is the vault program, for tests of what the README says about
// Vault Agent and Vault Proxy on machines that have none. It lives in a module
// of its own because Vault brings more than a thousand packages.
//
//	go build -tags minimal .
package main

import (
	"os"

	"github.com/hashicorp/vault/command"
)

func main() { os.Exit(command.Run(os.Args[1:])) }
