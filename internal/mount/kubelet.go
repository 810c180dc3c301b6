package mount

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"

	"github.com/rekey-go/rekey/internal/buildonce"
	"github.com/rekey-go/rekey/internal/child"
)

// A Kubelet writes volumes with the kubelet's own code, in a program of the nested
// module kubelet, which is built once into the user's cache folder. It is safe for
// concurrent use.
type Kubelet struct {
	process *child.Process
	stderr  *bytes.Buffer // to be read when the process has ended

	mu  sync.Mutex
	in  io.WriteCloser
	out *json.Decoder
}

func build(ctx context.Context, out io.Writer) (string, error) {
	_, file, _, _ := runtime.Caller(0)
	return buildonce.Program{
		Name: "kubelet", Title: "the kubelet's writer", Dir: filepath.Join(filepath.Dir(file), "kubelet"),
		// As in internal/kubeserver, so that what is compiled for one is for both.
		Env: []string{"CGO_ENABLED=0"}, Flags: []string{buildonce.Quick},
	}.Path(ctx, log.New(out, "", 0))
}

// ours is as whom the program runs.
var ours child.Account

// StartKubelet starts the program; Close ends it. out is told if it is being built.
func StartKubelet(ctx context.Context, out io.Writer) (*Kubelet, error) {
	program, err := build(ctx, out)
	if err != nil {
		return nil, fmt.Errorf("mount: %w", err)
	}
	cmd := exec.Command(program)
	cmd.Env = []string{}
	k := &Kubelet{stderr: &bytes.Buffer{}}
	cmd.Stderr = k.stderr
	if k.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	k.out = json.NewDecoder(stdout)
	if k.process, err = ours.Start(cmd, syscall.SIGKILL); err != nil {
		return nil, fmt.Errorf("mount: %w", err)
	}
	return k, nil
}

// Write makes files, by their names, the content of the volume in dir, which is
// there.
func (k *Kubelet) Write(dir string, files map[string]string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	err := json.NewEncoder(k.in).Encode(map[string]any{"dir": dir, "files": files})
	answer := ""
	if err == nil {
		err = k.out.Decode(&answer)
	}
	if err == nil && answer != "" {
		err = errors.New(answer)
	}
	return err
}

// Close ends the program.
func (k *Kubelet) Close() error {
	k.mu.Lock()
	err := k.in.Close()
	k.mu.Unlock()
	<-k.process.Done()
	if err = errors.Join(err, k.process.Err()); err != nil {
		return fmt.Errorf("mount: the kubelet's writer: %w\n%s", err, k.stderr)
	}
	return nil
}
