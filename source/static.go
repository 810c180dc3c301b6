package source

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
)

// Static returns a source that always answers the same. It suits tests and
// the first step of a migration.
func Static(username string, password Secret) Source {
	return Func(func(context.Context) (Credential, error) {
		return Credential{Username: username, Password: password}, nil
	})
}

// Env returns a source that reads the user name and the password from two
// environment variables each time it is asked. An empty usernameVar leaves the
// user name to the pool's own configuration. A variable that is not set is a
// [*FieldError] naming it.
func Env(usernameVar, passwordVar string) Source {
	return Func(func(context.Context) (Credential, error) {
		var c Credential
		if usernameVar != "" {
			username, ok := os.LookupEnv(usernameVar)
			if !ok || username == "" {
				return c, &FieldError{Where: "environment", Field: usernameVar, Problem: "is not set; it should hold the user name"}
			}
			c.Username = username
		}
		password, ok := os.LookupEnv(passwordVar)
		if !ok || password == "" {
			return Credential{}, &FieldError{Where: "environment", Field: passwordVar, Problem: "is not set; it should hold the password"}
		}
		c.Password = NewSecret(password)
		return c, nil
	})
}

// Fallback returns a source that asks each source in turn and answers with the
// first credential it gets, so that a service starts although its store is
// away. Once a source has answered, those after it are not asked any more: a
// store that is away for a moment must not make everybody change over to the
// emergency user and back; the last good credential serves meanwhile.
//
// The errors of all that were asked are joined when none answers; the whole is
// permanent only if every one is. The result watches what its sources watch
// and offers what they offer.
func Fallback(sources ...Source) Source {
	f := &fallback{sources: sources}
	f.asked.Store(int64(len(sources)))
	return f
}

type fallback struct {
	sources []Source
	asked   atomic.Int64 // how many of sources are asked: up to the best that has answered
}

func (f *fallback) Credential(ctx context.Context) (Credential, error) {
	if len(f.sources) == 0 {
		return Credential{}, Permanent(errors.New("source: Fallback has no sources to ask"))
	}
	var errs []error
	permanent := true
	for i, src := range f.sources[:f.asked.Load()] {
		c, err := src.Credential(ctx)
		if err == nil {
			f.answered(int64(i) + 1)
			return c, nil
		}
		if ctx.Err() != nil {
			return Credential{}, err
		}
		permanent = permanent && IsPermanent(err)
		errs = append(errs, err)
	}
	return Credential{}, &markedError{errors.Join(errs...), permanent}
}

// answered has no source after the first n asked.
func (f *fallback) answered(n int64) {
	for asked := f.asked.Load(); n < asked; asked = f.asked.Load() {
		if f.asked.CompareAndSwap(asked, n) {
			return
		}
	}
}

func (f *fallback) Watch(changed func()) (stop func()) {
	var stops []func()
	for _, src := range f.sources {
		if w, ok := src.(Watcher); ok {
			stops = append(stops, w.Watch(changed))
		}
	}
	return func() {
		for _, stop := range stops {
			stop()
		}
	}
}

func (f *fallback) Candidates(ctx context.Context) ([]Credential, error) {
	var all []Credential
	var errs []error
	for _, src := range f.sources {
		if cs, ok := src.(CandidateSource); ok {
			candidates, err := cs.Candidates(ctx)
			all = append(all, candidates...)
			errs = append(errs, err)
		}
	}
	return all, errors.Join(errs...)
}
