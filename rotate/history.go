package rotate

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// A Stage says what a version is in its store.
type Stage string

// The stages. A version that is none of these any more has an empty one.
const (
	StageCurrent  Stage = "current"  // what applications use
	StagePending  Stage = "pending"  // made by a rotation that has not promoted it
	StagePrevious Stage = "previous" // current before
)

// A Record is a version that is or was in a store, without its values.
type Record struct {
	Token string    // of the rotation that made it, or the store's own name for it
	User  string    // empty: the store does not say
	Time  time.Time // when it was made or became current; zero: the store does not say
	Stage Stage     // empty: it is none of the three any more
}

// A Historian is a [Store] that remembers more versions than it keeps. The stores of
// the packages below this one do.
type Historian interface {
	// History returns the versions that the store knows of, oldest first. Stages
	// are not looked at.
	History(ctx context.Context) ([]Record, error)
}

// History returns the versions of the secret, oldest first, the pending one last.
// A store that is no [Historian] tells of those that it keeps.
func (r *Rotator) History(ctx context.Context) ([]Record, error) {
	run := r.look()
	var past []Record
	if h, ok := r.config.Store.(Historian); ok {
		ctx, cancel := context.WithTimeout(ctx, r.config.StepTimeout)
		defer cancel()
		var err error
		if past, err = h.History(ctx); err != nil {
			return nil, fmt.Errorf("rotate: %s: the history cannot be read: %w", r.config.Store.Name(), err)
		}
	}
	if err := run.read(ctx); err != nil {
		return nil, err
	}
	return run.state.over(past), nil
}

// over puts what a state knows into a history.
func (s State) over(past []Record) []Record {
	all := slices.Clone(past)
	add := func(v *Version, stage Stage) {
		if v == nil {
			return
		}
		r := Record{v.Token, v.Credential.Username, v.Created, stage}
		// The last of its name: one that was restored has been there before.
		for i := len(all) - 1; i >= 0; i-- {
			if all[i].Token == v.Token {
				if all[i].Time.IsZero() {
					all[i].Time = r.Time
				}
				all[i].User, all[i].Stage = r.User, stage
				return
			}
		}
		all = append(all, r)
	}
	add(s.Previous, StagePrevious)
	add(&s.Current, StageCurrent)
	if s.Pending != nil && s.Pending.Token != s.Current.Token {
		add(s.Pending, StagePending)
	}
	return all
}
