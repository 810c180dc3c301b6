package pgserver

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	officialImage = "postgres:17"
	localImage    = "postgres:15-local"
)

// container runs a Docker image that keeps the official image's contract.
type container struct {
	spec
	image string
	id    string // "" before the first start
	done  chan struct{}
}

// newContainer finds the image; what is missing is in the error.
func newContainer(ctx context.Context, image string, spec spec) (engine, error) {
	if _, err := exec.LookPath("docker"); err != nil {
		return nil, err
	}
	brief, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := docker(brief, "info", "--format", "{{.ServerVersion}}"); err != nil {
		return nil, err
	}
	image = cmp.Or(image, os.Getenv(EnvImage))
	if image == "" {
		image = officialImage
		if _, err := docker(ctx, "image", "inspect", localImage); err == nil {
			image = localImage
		}
	}
	if _, err := docker(ctx, "image", "inspect", image); err != nil {
		spec.log.Println("pulling the image", image)
		if _, err := docker(ctx, "pull", "-q", image); err != nil {
			return nil, err
		}
	}
	spec.log.Println("starting PostgreSQL from the image", image)
	return &container{spec: spec, image: image}, nil
}

// prepare runs in the container before its own entry point: only there is it
// known which user must own the files.
const prepare = `mkdir -p /rekey && umask 077 &&
printf %s "$REKEY_CERT" >/rekey/server.crt && printf %s "$REKEY_KEY" >/rekey/server.key &&
printf %s "$REKEY_HBA" >/rekey/pg_hba.conf && chown -R postgres /rekey &&
unset REKEY_CERT REKEY_KEY REKEY_HBA && exec docker-entrypoint.sh postgres "$@"`

func (c *container) start(ctx context.Context, port uint16) error {
	if c.id != "" && c.published(ctx, port) {
		if _, err := docker(ctx, "start", c.id); err != nil {
			return err
		}
	} else {
		if err := c.remove(); err != nil { // left by an attempt on another port
			return err
		}
		id, err := c.create(ctx, port)
		if err != nil {
			return err
		}
		c.id = id
	}
	c.done = make(chan struct{})
	go func(id string, done chan<- struct{}) {
		defer close(done)
		_, _ = docker(context.Background(), "wait", id) // either way it is gone
	}(c.id, c.done)
	return nil
}

// published says whether the container was made for this port.
func (c *container) published(ctx context.Context, port uint16) bool {
	out, err := docker(ctx, "inspect", "--format", `{{(index (index .HostConfig.PortBindings "5432/tcp") 0).HostPort}}`, c.id)
	return err == nil && out == fmt.Sprint(port)
}

func (c *container) create(ctx context.Context, port uint16) (string, error) {
	args := []string{
		"run", "--detach", "--label", "rekey.pgserver", "--publish", fmt.Sprintf("127.0.0.1:%d:5432", port),
		"--env", "POSTGRES_PASSWORD", "--env", "REKEY_CERT", "--env", "REKEY_KEY", "--env", "REKEY_HBA",
		"--entrypoint", "sh", c.image, "-c", prepare, "sh",
	}
	ours := map[string]string{
		"hba_file": "/rekey/" + hbaName, "ssl_cert_file": "/rekey/" + certName, "ssl_key_file": "/rekey/" + keyName,
	}
	cmd := exec.CommandContext(ctx, "docker", append(args, flags(hasty, ours, c.settings)...)...)
	cmd.Env = append(os.Environ(), "POSTGRES_PASSWORD="+c.password,
		"REKEY_CERT="+string(c.keys.Cert), "REKEY_KEY="+string(c.keys.Key), "REKEY_HBA="+c.hba)
	return output(cmd)
}

func (c *container) stop(ctx context.Context, how shutdown) error {
	signal := map[shutdown]string{fast: "INT", immediate: "QUIT"}[how]
	if _, err := docker(ctx, "kill", "--signal", signal, c.id); err != nil {
		select {
		case <-c.done: // it had ended by itself
			return nil
		default:
			return err
		}
	}
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the container does not stop on SIG%s: %w", signal, ctx.Err())
	}
}

func (c *container) exited() <-chan struct{} { return c.done }

func (c *container) tail() string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	text, err := exec.CommandContext(ctx, "docker", "logs", "--tail", "30", c.id).CombinedOutput()
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (c *container) remove() error {
	if c.id == "" {
		return nil
	}
	_, err := docker(context.Background(), "rm", "--force", "--volumes", c.id)
	if err == nil {
		<-c.done
		c.id = ""
	}
	return err
}

// docker runs the client and returns what it prints.
func docker(ctx context.Context, args ...string) (string, error) {
	return output(exec.CommandContext(ctx, "docker", args...))
}

// output runs a command and returns what it prints, or its complaint.
func output(cmd *exec.Cmd) (string, error) {
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", cmd.Args[0], cmd.Args[1], err, bytes.TrimSpace(complaint.Bytes()))
	}
	return strings.TrimSpace(string(out)), nil
}
