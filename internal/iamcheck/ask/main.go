// Command ask is what PAM runs for a login: it passes the user name, and the
// token from its standard input, to the gate at the socket that is its argument.
package main

import (
	"io"
	"os"
	"strings"

	"github.com/rekey-go/rekey/internal/iamcheck"
)

func main() {
	token, err := io.ReadAll(os.Stdin)
	if err != nil || len(os.Args) != 2 {
		os.Exit(2)
	}
	// pam_exec ends what it passes on with a zero byte.
	ok, err := iamcheck.Ask(os.Args[1], os.Getenv("PAM_USER"), strings.TrimSuffix(string(token), "\x00"))
	if err != nil || !ok {
		os.Exit(1)
	}
}
