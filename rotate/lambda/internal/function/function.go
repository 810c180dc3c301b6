// Package function runs a Lambda function for tests as the service does: the
// program that is deployed, which asks the Runtime API for events.
package function

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rekey-go/rekey/internal/child"
)

// Build builds the program in dir as it is deployed, but for this machine.
func Build(ctx context.Context, dir, to string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", "lambda.norpc", "-o", to, ".")
	cmd.Dir, cmd.Env = dir, append(cmd.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// A Function is one execution environment: it has at most one process, which
// handles one event at a time. A process that has ended is replaced for the next
// event.
type Function struct {
	path string
	env  []string
	log  io.Writer

	server  http.Server
	address string
	serving sync.WaitGroup
	waiting chan *invocation

	mu      sync.Mutex // of what follows
	process *child.Process
	running map[string]*invocation

	one sync.Mutex // event at a time
}

type invocation struct {
	id      string
	payload []byte
	ends    time.Time
	done    chan error // one result
}

// A Failure is an error that the function has returned.
type Failure struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
}

func (f *Failure) Error() string { return f.Type + ": " + f.Message }

// ErrEnded is returned where the process ended before the event was handled.
var ErrEnded = errors.New("the process ended")

// New returns a function whose program is at path. env is all of its environment;
// what it logs goes to log.
func New(path string, env []string, log io.Writer) (*Function, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &Function{path: path, env: env, log: log, address: l.Addr().String(), waiting: make(chan *invocation), running: make(map[string]*invocation)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", f.next)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", f.response)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", f.response)
	f.server = http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	f.serving.Go(func() { _ = f.server.Serve(l) }) // ends with ErrServerClosed
	return f, nil
}

// Close ends the process and the server.
func (f *Function) Close() {
	f.Kill()
	_ = f.server.Close() // nobody to tell
	f.serving.Wait()
}

// Kill ends the process at once, whatever it does.
func (f *Function) Kill() {
	f.mu.Lock()
	p := f.process
	f.mu.Unlock()
	if p != nil {
		p.Kill()
	}
}

// Invoke has the function handle an event. Its time ends with timeout; a process
// that has not answered by then is killed, and so is one when ctx ends.
func (f *Function) Invoke(ctx context.Context, event any, timeout time.Duration) error {
	f.one.Lock()
	defer f.one.Unlock()
	payload, err := json.Marshal(event)
	if err != nil {
		return err
	}
	process, err := f.start()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ends, _ := ctx.Deadline()
	i := &invocation{id: rand.Text(), payload: payload, ends: ends, done: make(chan error, 1)}
	select {
	case f.waiting <- i:
	case <-process.Done():
		return ErrEnded
	case <-ctx.Done():
		process.Kill()
		return ctx.Err()
	}
	select {
	case err := <-i.done:
		return err
	case <-process.Done():
		return ErrEnded
	case <-ctx.Done():
		process.Kill()
		return ctx.Err()
	}
}

// start returns the process, a new one if there is none.
func (f *Function) start() (*child.Process, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.process != nil {
		select {
		case <-f.process.Done():
		default:
			return f.process, nil
		}
	}
	cmd := exec.Command(f.path)
	cmd.Env = append([]string{"AWS_LAMBDA_RUNTIME_API=" + f.address, "AWS_LAMBDA_FUNCTION_NAME=rotate"}, f.env...)
	cmd.Stdout, cmd.Stderr = f.log, f.log
	p, err := child.Account(nil).Start(cmd, syscall.SIGKILL)
	if err == nil {
		f.process = p
	}
	return p, err
}

// next hands an event out.
func (f *Function) next(w http.ResponseWriter, r *http.Request) {
	select {
	case i := <-f.waiting:
		f.mu.Lock()
		f.running[i.id] = i
		f.mu.Unlock()
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", i.id)
		w.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(i.ends.UnixMilli(), 10))
		w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:rotate")
		_, _ = w.Write(i.payload) // the process has gone
	case <-r.Context().Done():
	}
}

// response takes a result, or an error.
func (f *Function) response(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	f.mu.Lock()
	i := f.running[r.PathValue("id")]
	delete(f.running, r.PathValue("id"))
	f.mu.Unlock()
	if err != nil || i == nil {
		http.Error(w, "no such event", http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	var failure Failure
	switch {
	case !strings.HasSuffix(r.URL.Path, "/error"):
		i.done <- nil
	case json.Unmarshal(body, &failure) != nil:
		i.done <- fmt.Errorf("not an error of a function: %q", body)
	default:
		i.done <- &failure
	}
}
