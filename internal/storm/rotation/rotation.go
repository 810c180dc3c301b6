// Package rotation rotates a credential file on a PostgreSQL server the way an
// operator would, outside the pools that use it: with SQL in the database and
// by replacing the file.
package rotation

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rekey-go/rekey/internal/pgserver"
)

// A Rotation is a credential that is rotated again and again: a new password
// for the same user and a new user take turns. It is used by one goroutine.
type Rotation struct {
	// File holds {"username": …, "password": …} and is always whole.
	File string

	server *pgserver.Server
	dir    string
	group  string // holds the rights; the users come and go
	user   string
	users  int
	done   int
}

// New makes the first user and its file. Its methods need a server whose
// superuser may create roles. CleanUp removes what it made.
func New(ctx context.Context, server *pgserver.Server) (*Rotation, error) {
	dir, err := os.MkdirTemp("", "rekey-rotation-")
	if err != nil {
		return nil, err
	}
	run := strings.ToLower(rand.Text()[:6]) // a given server may hold other runs' roles
	r := &Rotation{File: filepath.Join(dir, "credential.json"), server: server, dir: dir, group: "rotation_" + run}
	err = server.Exec(ctx, "create role "+pgserver.QuoteIdent(r.group)+" nologin")
	if err == nil {
		err = r.newUser(ctx)
	}
	if err != nil {
		r.CleanUp()
		return nil, err
	}
	return r, nil
}

// Done returns how often the credential has been rotated.
func (r *Rotation) Done() int { return r.done }

// Group returns the role that all users are members of.
func (r *Rotation) Group() string { return r.group }

// Next rotates once. Where that leaves an old user behind, it returns what
// drops him, to be called when his time is over; otherwise nil.
func (r *Rotation) Next(ctx context.Context) (drop func(context.Context) error, err error) {
	r.done++
	if r.done%2 == 1 {
		return nil, r.newPassword(ctx)
	}
	old := r.user
	if err := r.newUser(ctx); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		return r.server.Exec(ctx, "drop role "+pgserver.QuoteIdent(old))
	}, nil
}

// newPassword changes the password of the same user, in the database first:
// until the file follows, everybody's credential is wrong.
func (r *Rotation) newPassword(ctx context.Context) error {
	password := rand.Text()
	err := r.server.Exec(ctx, "alter role "+pgserver.QuoteIdent(r.user)+" password "+pgserver.QuoteLiteral(password))
	if err != nil {
		return err
	}
	return r.publish(password)
}

// newUser makes a user with the rights of the group and publishes it.
func (r *Rotation) newUser(ctx context.Context) error {
	user, password := fmt.Sprintf("%s_app%d", r.group, r.users), rand.Text()
	r.users++
	err := r.server.Exec(ctx, "create role "+pgserver.QuoteIdent(user)+" login password "+pgserver.QuoteLiteral(password)+
		" in role "+pgserver.QuoteIdent(r.group))
	if err != nil {
		return err
	}
	r.user = user
	return r.publish(password)
}

// publish replaces the file in one step, so that nobody reads half of it.
func (r *Rotation) publish(password string) error {
	text, err := json.Marshal(map[string]string{"username": r.user, "password": password})
	if err != nil {
		return err
	}
	if err := os.WriteFile(r.File+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(r.File+".new", r.File)
}

// CleanUp removes the file and the roles.
func (r *Rotation) CleanUp() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for n := range r.users {
		_ = r.server.Exec(ctx, "drop role if exists "+pgserver.QuoteIdent(fmt.Sprintf("%s_app%d", r.group, n)))
	}
	_ = r.server.Exec(ctx, "drop role if exists "+pgserver.QuoteIdent(r.group))
	_ = os.RemoveAll(r.dir)
}
