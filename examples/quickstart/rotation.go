package main

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
	"github.com/rekey-go/rekey/pool"
)

// A rotation changes the credential the way an operator would, outside the
// pool: with SQL in the database and by replacing the credential file.
type rotation struct {
	server *pgserver.Server
	dir    string
	file   string
	group  string // holds the rights; the users come and go
	user   string
	done   int
}

func newRotation(ctx context.Context, server *pgserver.Server) (*rotation, error) {
	dir, err := os.MkdirTemp("", "rekey-quickstart-")
	if err != nil {
		return nil, err
	}
	run := strings.ToLower(rand.Text()[:6]) // a given server may hold other runs' roles
	r := &rotation{server: server, dir: dir, file: filepath.Join(dir, "credential.json"), group: "quickstart_" + run}
	err = server.Exec(ctx, "create role "+pgserver.QuoteIdent(r.group)+" nologin")
	if err == nil {
		err = r.newUser(ctx)
	}
	if err != nil {
		r.cleanUp()
		return nil, err
	}
	return r, nil
}

// next rotates once: a new password and a new user take turns.
func (r *rotation) next(ctx context.Context, db *pool.ManagedPool) error {
	r.done++
	if r.done%2 == 1 {
		return r.newPassword(ctx)
	}
	old, version := r.user, db.Refresher().Current().Version
	if err := r.newUser(ctx); err != nil {
		return err
	}
	// The old user's time is over when this process has let go of it.
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := db.Drained(ctx, version); err != nil {
		return fmt.Errorf("the old user is still in use: %w", err)
	}
	return r.server.Exec(ctx, "drop role "+pgserver.QuoteIdent(old))
}

// newPassword changes the password of the same user, in the database first:
// until the file follows, the pool's credential is wrong.
func (r *rotation) newPassword(ctx context.Context) error {
	password := rand.Text()
	err := r.server.Exec(ctx, "alter role "+pgserver.QuoteIdent(r.user)+" password "+pgserver.QuoteLiteral(password))
	if err != nil {
		return err
	}
	return r.publish(password)
}

// newUser makes a user with the rights of the group and publishes it.
func (r *rotation) newUser(ctx context.Context) error {
	user, password := fmt.Sprintf("%s_app%d", r.group, r.done), rand.Text()
	err := r.server.Exec(ctx, "create role "+pgserver.QuoteIdent(user)+" login password "+pgserver.QuoteLiteral(password)+
		" in role "+pgserver.QuoteIdent(r.group))
	if err != nil {
		return err
	}
	r.user = user
	return r.publish(password)
}

// publish replaces the file in one step, so that nobody reads half of it.
func (r *rotation) publish(password string) error {
	text, err := json.Marshal(map[string]string{"username": r.user, "password": password})
	if err != nil {
		return err
	}
	if err := os.WriteFile(r.file+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(r.file+".new", r.file)
}

// cleanUp removes what is left in a server that was given.
func (r *rotation) cleanUp() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, role := range []string{r.user, r.group} {
		if role != "" {
			_ = r.server.Exec(ctx, "drop role if exists "+pgserver.QuoteIdent(role))
		}
	}
	_ = os.RemoveAll(r.dir)
}
