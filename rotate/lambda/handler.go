package lambda

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/secretsmanager"
)

// Config says which secrets a function rotates and how. Client, Secrets and Open
// are needed.
type Config struct {
	// Client is a *secretsmanager.Client of aws-sdk-go-v2.
	Client secretsmanager.Client

	// Secrets are the ARNs of the secrets that may be rotated. Events about others
	// are refused.
	Secrets []string

	// Open says how a secret is rotated: see [Postgres.Open]. Store is set by the
	// handler.
	Open func(ctx context.Context, s Secret) (*rotate.Config, error)

	// Audit receives every step, unless Open sets one. Nil: nobody does.
	Audit func(rotate.Event)
}

// A Secret is one that is to be rotated.
type Secret struct {
	ARN    string                // as the event names it
	State  rotate.State          // what Secrets Manager holds now
	Client secretsmanager.Client // for what the secret refers to
}

// steps are what Secrets Manager calls the steps.
var steps = map[string]rotate.Step{
	"createSecret": rotate.StepCreate,
	"setSecret":    rotate.StepSet,
	"testSecret":   rotate.StepVerify,
	"finishSecret": rotate.StepPromote,
}

// Handler returns a handler for lambda.Start of aws-lambda-go. It is safe for
// concurrent use. Its errors are of the types [*EventError] and [*StepError] and never hold
// a value of a secret.
func Handler(c *Config) (func(context.Context, events.SecretsManagerSecretRotationEvent) error, error) {
	switch {
	case c == nil || c.Client == nil:
		return nil, &OptionError{"Client", "is missing; it should be a *secretsmanager.Client"}
	case c.Open == nil:
		return nil, &OptionError{"Open", "is missing; it should be the Open method of a *Postgres"}
	case len(c.Secrets) == 0:
		return nil, &OptionError{"Secrets", "is empty; it should list the ARNs of the secrets that may be rotated"}
	}
	for _, id := range c.Secrets {
		if !strings.HasPrefix(id, "arn:") {
			return nil, &OptionError{"Secrets", fmt.Sprintf("has %q; it should be an ARN, as that is what events name", id)}
		}
	}
	h := &handler{*c}
	h.config.Secrets = slices.Clone(c.Secrets)
	return h.handle, nil
}

type handler struct{ config Config }

func (h *handler) handle(ctx context.Context, e events.SecretsManagerSecretRotationEvent) error {
	if err := h.check(e); err != nil {
		return err
	}
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, stop(time.Now(), end))
		defer cancel()
	}
	if err := h.advance(ctx, e); err != nil {
		return &StepError{e.Step, e.SecretID, err}
	}
	return nil
}

// stop is when to stop so that there is time left to say so.
func stop(now, end time.Time) time.Time {
	return end.Add(-min(max(end.Sub(now)/10, 0), 5*time.Second))
}

// check looks at what an event says by itself.
func (h *handler) check(e events.SecretsManagerSecretRotationEvent) error {
	switch n := len(e.ClientRequestToken); {
	case steps[e.Step] == "":
		return &EventError{"Step", fmt.Sprintf("is %q; it should be createSecret, setSecret, testSecret or finishSecret", e.Step)}
	case e.SecretID == "":
		return &EventError{"SecretId", "is missing; let Secrets Manager call the function"}
	case !slices.Contains(h.config.Secrets, e.SecretID):
		return &EventError{"SecretId", fmt.Sprintf("is %q, which is not among the secrets that this function rotates; add its ARN there, or rotate it by another function", e.SecretID)}
	case n < 32 || n > 64:
		return &EventError{"ClientRequestToken", fmt.Sprintf("has %d characters; it should be the ID of a version, which has 32 to 64", n)}
	}
	return nil
}

func (h *handler) advance(ctx context.Context, e events.SecretsManagerSecretRotationEvent) error {
	client := &observer{Client: h.config.Client, rotationToken: e.RotationToken}
	store := secretsmanager.New(client, e.SecretID, nil)
	state, err := store.Read(ctx)
	if err != nil {
		return err
	}
	if state.Current.Token == e.ClientRequestToken {
		return nil // it is over
	}
	if err := due(client, e); err != nil {
		return err
	}
	config, err := h.config.Open(ctx, Secret{e.SecretID, state, client})
	if err != nil {
		return err
	}
	own := *config
	own.Store = store
	if own.Audit == nil {
		own.Audit = h.config.Audit
	}
	r, err := rotate.New(&own)
	if err != nil {
		return err
	}
	if steps[e.Step] == rotate.StepVerify && state.Pending == nil {
		return trial(ctx, r, own.Lock)
	}
	_, err = r.Advance(ctx, e.ClientRequestToken, steps[e.Step])
	return err
}

// due looks whether Secrets Manager would have sent the event.
func due(o *observer, e events.SecretsManagerSecretRotationEvent) error {
	switch {
	case !aws.ToBool(o.about.RotationEnabled):
		return &EventError{"SecretId", "is a secret that is not rotated; turn its rotation on, or do not call the function"}
	case !slices.Contains(o.about.VersionIdsToStages[e.ClientRequestToken], "AWSPENDING"):
		return &EventError{"ClientRequestToken", fmt.Sprintf("is %q, which does not have AWSPENDING: that rotation is over or was undone; call RotateSecret", e.ClientRequestToken)}
	}
	return nil
}

// trial is testSecret where there is nothing to test yet: the one who changes the
// database can log in, as the lock needs that, and so can AWSCURRENT.
func trial(ctx context.Context, r *rotate.Rotator, lock func(context.Context) (func(), error)) error {
	if lock != nil {
		unlock, err := lock(ctx)
		if err != nil {
			return err
		}
		defer unlock()
	}
	s, err := r.Status(ctx)
	if err == nil && s.Mismatch != "" {
		err = fmt.Errorf("%w: %s", rotate.ErrMismatch, s.Mismatch)
	}
	return err
}
