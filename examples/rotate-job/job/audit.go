package job

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/rekey-go/rekey/rotate"
)

// An entry is one line of the audit file. It never holds a value.
type entry struct {
	Time     time.Time `json:"time"`
	Secret   string    `json:"secret"` // by its name in the configuration
	Store    string    `json:"store,omitempty"`
	Rotation string    `json:"rotation,omitempty"`
	Strategy string    `json:"strategy,omitempty"`
	Step     string    `json:"step"`
	Attempt  int       `json:"attempt,omitempty"`
	Outcome  string    `json:"outcome"`
	From     string    `json:"from,omitempty"`
	To       string    `json:"to,omitempty"`
	User     string    `json:"user,omitempty"`
	Actor    string    `json:"actor,omitempty"`
	Approver string    `json:"approver,omitempty"`
	Host     string    `json:"host,omitempty"`
	Millis   int64     `json:"millis,omitempty"`
	Sessions int       `json:"sessions,omitempty"`
	Forced   string    `json:"forced,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Class    string    `json:"class,omitempty"`
	Error    string    `json:"error,omitempty"`
}

// An audit appends entries to a file, or logs events where there is none. It is
// safe for concurrent use, and by several processes: each entry is one write.
type audit struct {
	path string
	log  io.Writer

	mu   sync.Mutex
	file *os.File
	err  error // the first one
}

// event returns what a rotator tells its steps.
func (a *audit) event(secret string) func(rotate.Event) {
	if a.path == "" {
		return rotate.LogTo(slog.New(slog.NewTextHandler(a.log, nil)))
	}
	return func(e rotate.Event) {
		line := entry{
			Time: e.Time.UTC(), Secret: secret, Store: e.Secret, Rotation: e.Rotation, Strategy: e.Strategy,
			Step: string(e.Step), Attempt: e.Attempt, Outcome: string(e.Outcome), From: e.From, To: e.To, User: e.User,
			Actor: e.Actor, Approver: e.Approver, Host: e.Host, Millis: e.Took.Milliseconds(),
			Sessions: e.Sessions, Forced: e.Forced, Class: e.Class,
		}
		switch {
		case errors.Is(e.Err, errWaits): // which is no failure
			line.Outcome, line.Class = "waits", ""
		case e.Err != nil:
			line.Error = e.Err.Error()
		}
		a.write(line)
	}
}

// note records what is no step: who asked for something, and why.
func (a *audit) note(e entry) {
	e.Time = time.Now().UTC()
	e.Host, _ = os.Hostname() // empty is no name
	if a.path == "" {
		slog.New(slog.NewTextHandler(a.log, nil)).Info("rotate-job: "+e.Step, "secret", e.Secret, "rotation", e.Rotation,
			"outcome", e.Outcome, "actor", e.Actor, "reason", e.Reason)
		return
	}
	a.write(e)
}

func (a *audit) write(e entry) {
	line, err := json.Marshal(e)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file == nil && err == nil {
		a.file, err = os.OpenFile(a.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	}
	if err == nil {
		_, err = a.file.Write(append(line, '\n'))
	}
	if err != nil && a.err == nil {
		a.err = fmt.Errorf("the audit is not complete: %w", err)
	}
}

// failure tells what could not be written.
func (a *audit) failure() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

func (a *audit) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file != nil {
		_ = a.file.Close() // each line was written at once
		a.file = nil
	}
}

// read returns the entries since a time. Lines that are not entries, such as one
// that a full disk has cut off, are passed over.
func (a *audit) read(since time.Time) (all []entry, err error) {
	if a.path == "" {
		return nil, nil
	}
	file, err := os.Open(a.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the audit: %w", err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e entry
		if json.Unmarshal(lines.Bytes(), &e) == nil && !e.Time.Before(since) {
			all = append(all, e)
		}
	}
	return all, lines.Err()
}
