package iamcheck

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// folder is where PAM looks for its services, and nowhere else.
const folder = "/etc/pam.d"

// LongestToken is how many bytes pam_exec passes on. Tokens that are signed
// with a session token of usual length do not fit; those of lasting credentials
// and with the short ones of tests do.
const LongestToken = 511

// install compiles the program that PAM runs and writes the service's file.
func install(ctx context.Context, service, dir, socket string) error {
	program := filepath.Join(dir, "ask")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/rekey-go/rekey/internal/iamcheck/ask")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	text := fmt.Sprintf("auth required pam_exec.so expose_authtok quiet %s %s\naccount required pam_permit.so\n", program, socket)
	return asRoot(text, "tee", filepath.Join(folder, service))
}

func uninstall(service string) error { return asRoot("", "rm", "-f", filepath.Join(folder, service)) }

// asRoot runs a command, with text as its input.
func asRoot(text string, command ...string) error {
	if os.Geteuid() != 0 {
		command = append([]string{"sudo", "-n"}, command...)
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin = strings.NewReader(text)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w %s; a PAM service needs root: run the tests as root, or allow sudo without a password",
			strings.Join(command, " "), err, said.String())
	}
	return nil
}
