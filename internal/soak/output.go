package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/rekey-go/rekey/source"
)

// canary begins every password that a rotator draws, so that parts of one are
// found, too.
const canary = "CaNaRy-"

// output is all that is written anywhere, by whomever: logs, errors, health,
// metrics. It must not contain a secret. It is safe for concurrent use.
type output struct {
	mu      sync.Mutex
	file    *os.File
	keep    bool
	secrets map[string]bool
	err     error // the first of writing
}

// newOutput writes into the file of a name, or into one that goes with it.
func newOutput(name string) (*output, error) {
	o := &output{keep: name != "", secrets: map[string]bool{canary: true}}
	var err error
	if o.keep {
		o.file, err = os.Create(name)
	} else {
		o.file, err = os.CreateTemp("", "rekey-soak-*.log")
	}
	return o, err
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.file.Write(p)
	o.err = errors.Join(o.err, err)
	return n, err
}

// secret is one that must not be there, not even before it is known.
func (o *output) secret(s source.Secret) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.secrets[s.Reveal()] = true
}

// close returns how many secrets there are to look for, how much was written, and
// of lines in which one is what is in front of it.
func (o *output) close() (secrets, written int, found []string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	text, err := os.ReadFile(o.file.Name())
	err = errors.Join(o.err, err, o.file.Close())
	if !o.keep {
		err = errors.Join(err, os.Remove(o.file.Name()))
	}
	delete(o.secrets, "")
	for secret := range o.secrets {
		if i := bytes.Index(text, []byte(secret)); i >= 0 {
			found = append(found, fmt.Sprintf("%.300s", text[bytes.LastIndexByte(text[:i], '\n')+1:i]))
		}
	}
	return len(o.secrets), len(text), found, err
}
