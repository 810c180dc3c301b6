package iamcheck

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// A Gate is a PAM service that lets in who has a good token. Its methods are
// safe for concurrent use.
type Gate struct {
	service string // its name
	dir     string
	listen  net.Listener
	serving sync.WaitGroup

	mu    sync.Mutex
	users map[string]*User
}

// A User is one whom a gate knows. Its methods are safe for concurrent use.
type User struct {
	mu      sync.Mutex
	checker Checker
	logins  []Login
}

// A Login is one that a gate has judged.
type Login struct {
	Length int   // of what came as the password, in bytes
	Err    error // why it was refused; nil: it was let in
}

// question is what the program behind PAM asks.
type question struct{ User, Token string }

// Open makes a service, for which it needs to be root or to have sudo: PAM reads
// no other folder than its own.
func Open(ctx context.Context) (g *Gate, err error) {
	g = &Gate{users: map[string]*User{}}
	defer func() {
		if err != nil {
			g, err = nil, fmt.Errorf("iamcheck: %w", errors.Join(err, g.Close()))
		}
	}()
	// Where servers under other accounts may enter.
	if g.dir, err = os.MkdirTemp("/tmp", "rekey-iam-*"); err != nil {
		return g, err
	}
	if err = os.Chmod(g.dir, 0o755); err != nil {
		return g, err
	}
	socket := filepath.Join(g.dir, "socket")
	if g.listen, err = new(net.ListenConfig).Listen(ctx, "unix", socket); err != nil {
		return g, err
	}
	if err = os.Chmod(socket, 0o666); err != nil {
		return g, err
	}
	g.serving.Go(g.serve)
	g.service = filepath.Base(g.dir)
	return g, install(ctx, g.service, g.dir, socket)
}

// Service is the gate's name for PAM.
func (g *Gate) Service() string { return g.service }

// Add makes a user known, whose tokens c judges. All others are refused.
func (g *Gate) Add(name string, c Checker) *User {
	u := &User{checker: c}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.users[name] = u
	return u
}

// Close ends the service.
func (g *Gate) Close() error {
	var errs []error
	if g.listen != nil {
		errs = append(errs, g.listen.Close())
		g.serving.Wait()
	}
	if g.service != "" {
		errs = append(errs, uninstall(g.service))
	}
	return errors.Join(append(errs, os.RemoveAll(g.dir))...)
}

func (g *Gate) serve() {
	for {
		conn, err := g.listen.Accept()
		if err != nil {
			return // closed
		}
		g.serving.Go(func() {
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			var q question
			if json.NewDecoder(conn).Decode(&q) == nil {
				_ = json.NewEncoder(conn).Encode(g.judge(q)) // else nobody is let in
			}
		})
	}
}

// judge reports whether the login is let in.
func (g *Gate) judge(q question) bool {
	g.mu.Lock()
	u := g.users[q.User]
	g.mu.Unlock()
	return u != nil && u.judge(q)
}

func (u *User) judge(q question) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	err := u.checker.Check(q.User, q.Token, time.Now())
	u.logins = append(u.logins, Login{len(q.Token), err})
	return err == nil
}

// Change changes what is accepted of the user from now on.
func (u *User) Change(change func(*Checker)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	change(&u.checker)
}

// Logins are those of the user that have been judged so far.
func (u *User) Logins() []Login {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.logins)
}

// Ask is the other side: it asks the gate at socket whether user may log in.
func Ask(socket, user, token string) (bool, error) {
	conn, err := net.DialTimeout("unix", socket, 10*time.Second)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	if err := json.NewEncoder(conn).Encode(question{user, token}); err != nil {
		return false, err
	}
	var ok bool
	err = json.NewDecoder(conn).Decode(&ok)
	return ok, err
}
