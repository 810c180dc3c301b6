package buildonce

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"github.com/rekey-go/rekey/internal/child"
)

// ours is as whom everything runs here.
var ours child.Account

// compile makes the program beside path and moves it there when it is whole.
func (p Program) compile(ctx context.Context, path string) error {
	part := path + ".part"
	defer os.Remove(part) //nolint:errcheck // it is gone if all went well
	cmd := exec.Command("go", append(append([]string{"build", "-ldflags=-s -w", "-o", part}, p.Flags...), ".")...)
	cmd.Dir = p.Dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	cmd.Env = append(cmd.Env, p.Env...)
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	process, err := ours.Start(cmd, syscall.SIGKILL)
	if err != nil {
		return fmt.Errorf("go build in %s: %w", p.Dir, err)
	}
	select {
	case <-process.Done():
		err = process.Err()
	case <-ctx.Done():
		process.Kill()
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("go build in %s: %w\n%s", p.Dir, err, out.text)
	}
	return os.Rename(part, path)
}

// tail keeps the end of what is written to it.
type tail struct{ text []byte }

var _ io.Writer = (*tail)(nil)

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-4096):]
	return len(p), nil
}
