package job

import (
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/generate"
	"github.com/rekey-go/rekey/source"
)

// A secret is one of the configuration, with its store and its target.
type secret struct {
	*secretConfig
	store  rotate.Store
	target *target
	call   *call
	broken error // it could not be opened; the others may be
}

// open reads the configuration and opens what the command is about.
func (c *call) open(ctx context.Context, command command) (err error) {
	path := cmp.Or(c.options.config, os.Getenv("ROTATE_JOB_CONFIG"), "rotate-job.yaml")
	if c.config, err = load(path); err != nil {
		return err
	}
	c.by = cmp.Or(c.by, os.Getenv("ROTATE_JOB_ACTOR"))
	c.audit = &audit{path: c.config.Audit, log: c.Stderr}
	if command.name == "approve" { // who decides says so, and needs no access to any store
		return nil
	}
	if c.by == "" {
		host, _ := os.Hostname() // empty is no name
		c.by = cmp.Or(os.Getenv("USER"), "process") + "@" + host
	}
	for _, wanted := range c.args {
		if !slices.ContainsFunc(c.config.Secrets, func(s *secretConfig) bool { return s.Name == wanted }) {
			return wrong("there is no secret %q in %s", wanted, path)
		}
	}
	for _, s := range c.config.Secrets {
		if len(c.args) > 0 && !slices.Contains(c.args, s.Name) {
			continue
		}
		opened := &secret{secretConfig: s, call: c}
		switch err := opened.open(ctx); {
		case errors.Is(err, errUsage):
			return of(s.Name, err)
		case err != nil:
			opened.broken = err
		}
		c.secrets = append(c.secrets, opened)
	}
	return nil
}

func (c *call) close() {
	c.audit.close()
	for _, s := range c.secrets {
		if s.target != nil && s.target.close != nil {
			_ = s.target.close() // nobody uses it any more
		}
	}
}

func (s *secret) open(ctx context.Context) (err error) {
	if s.store, err = s.call.openStore(ctx, s.Store); err != nil {
		return err
	}
	s.target, err = openTarget(s.Name, s.Target)
	return err
}

// rotator returns one that asks approve, if it is not nil.
func (s *secret) rotator(approve func(context.Context, rotate.Request) (string, error)) (*rotate.Rotator, error) {
	if s.broken != nil {
		return nil, s.broken
	}
	return rotate.New(&rotate.Config{
		Store: s.store, Target: s.target.Target, Lock: s.target.lock,
		Generate: func() (source.Secret, error) { return generate.Password(nil) },
		Approve:  approve, Consumers: s.Consumers, Actor: s.call.by, Audit: s.call.audit.event(s.Name),
		DrainTimeout: time.Duration(s.Drain), Grace: time.Duration(s.Grace), ForceDrain: s.Force,
	})
}
