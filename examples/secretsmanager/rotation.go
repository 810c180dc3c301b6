package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/internal/pgserver"
)

const secretID = "orders/database"

// login is what the secret holds, as Amazon RDS writes it.
type login struct {
	Engine   string `json:"engine"`
	Host     string `json:"host"`
	Port     uint16 `json:"port"`
	DBName   string `json:"dbname"`
	Username string `json:"username"`
	Password string `json:"password"`
}

// A rotation changes the secret and the database in the four steps of a
// rotation function.
type rotation struct {
	server *pgserver.Server
	store  *secretsmanager.Client
	users  []string      // one: its password changes; two: they take turns
	gap    time.Duration // between database and AWSCURRENT
	begun  int
	done   atomic.Int64
}

// newRotation makes the users and the secret.
func newRotation(ctx context.Context, server *pgserver.Server, store *secretsmanager.Client, users []string, gap time.Duration) (*rotation, error) {
	r := &rotation{server: server, store: store, users: users, gap: gap}
	for _, user := range users {
		if err := server.Exec(ctx, "create role "+pgserver.QuoteIdent(user)+" login password "+pgserver.QuoteLiteral(rand.Text())); err != nil {
			return nil, err
		}
	}
	first := r.next()
	if err := r.set(ctx, first); err != nil {
		return nil, err
	}
	_, err := store.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String(secretID), SecretString: aws.String(first.text())})
	return r, err
}

// next is what will be current after the next rotation.
func (r *rotation) next() login {
	host, port := r.server.Addr()
	return login{"postgres", host, port, "postgres", r.users[r.begun%len(r.users)], rand.Text()}
}

func (l login) text() string {
	text, _ := json.Marshal(l) // cannot fail
	return string(text)
}

// finished returns how often the secret has been rotated.
func (r *rotation) finished() int { return int(r.done.Load()) }

// rotate returns when the new version has become AWSCURRENT.
func (r *rotation) rotate(ctx context.Context) (promoted time.Time, err error) {
	r.begun++
	next, token := r.next(), rand.Text()+rand.Text()
	if err := r.create(ctx, next, token); err != nil {
		return promoted, fmt.Errorf("create: %w", err)
	}
	if err := r.set(ctx, next); err != nil {
		return promoted, fmt.Errorf("set: %w", err)
	}
	if err := r.test(ctx, next); err != nil {
		return promoted, fmt.Errorf("test: %w", err)
	}
	if err := pause(ctx, r.gap); err != nil { // the database is ahead of AWSCURRENT
		return promoted, err
	}
	if err := r.finish(ctx, token); err != nil {
		return promoted, fmt.Errorf("finish: %w", err)
	}
	r.done.Add(1)
	return time.Now(), nil
}

// create writes the next version as AWSPENDING.
func (r *rotation) create(ctx context.Context, next login, token string) error {
	_, err := r.store.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: aws.String(secretID), ClientRequestToken: &token,
		SecretString: aws.String(next.text()), VersionStages: []string{"AWSPENDING"},
	})
	return err
}

// set changes the database.
func (r *rotation) set(ctx context.Context, l login) error {
	return r.server.Exec(ctx, "alter role "+pgserver.QuoteIdent(l.Username)+" password "+pgserver.QuoteLiteral(l.Password))
}

// test logs in.
func (r *rotation) test(ctx context.Context, l login) error {
	config, err := pgx.ParseConfig(r.server.AppDSN())
	if err != nil {
		return err
	}
	config.User, config.Password = l.Username, l.Password
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// finish moves AWSCURRENT, if it is where it was, and AWSPREVIOUS with it.
func (r *rotation) finish(ctx context.Context, token string) error {
	secret, err := r.store.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{
		SecretId: aws.String(secretID), VersionStage: aws.String("AWSCURRENT"),
	})
	if err != nil {
		return err
	}
	_, err = r.store.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: aws.String(secretID), VersionStage: aws.String("AWSCURRENT"),
		MoveToVersionId: &token, RemoveFromVersionId: secret.VersionId,
	})
	return err
}

// rotations are made one after the other beside the clients.
type rotations struct {
	done chan struct{}
	err  error // for who has seen done closed
}

func startRotations(ctx context.Context, r *rotation, l *logins, f flags) *rotations {
	all := &rotations{done: make(chan struct{})}
	go func() {
		defer close(all.done)
		for n := 1; n <= f.rotations && all.err == nil; n++ {
			if all.err = pause(ctx, f.pause); all.err != nil {
				return
			}
			promoted, err := r.rotate(ctx)
			if err != nil {
				all.err = fmt.Errorf("rotation %d: %w", n, err)
				return
			}
			l.promoted(promoted)
		}
		all.err = pause(ctx, f.pause)
	}()
	return all
}

func (a *rotations) ended() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

func (a *rotations) wait() error {
	<-a.done
	return a.err
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
