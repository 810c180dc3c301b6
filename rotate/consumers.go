package rotate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// A Consumer is an application that uses a secret, or should.
type Consumer struct {
	Application string // as it calls itself to the database
	Expected    bool   // Config.Consumers names it
	Sessions    int    // open ones, of all users of the secret
	// Behind are those of them that still use an older credential than the current
	// one: an application whose sessions stay behind does not follow the store.
	Behind int
	Oldest time.Time // when the first of them was opened; zero: there is none
}

// consumers asks a target that can tell who is there, and adds who should be.
func (r *run) consumers(ctx context.Context, left []string) ([]Consumer, error) {
	all := make(map[string]*Consumer)
	at := func(application string) *Consumer {
		if all[application] == nil {
			all[application] = &Consumer{Application: application}
		}
		return all[application]
	}
	for _, name := range r.config.Consumers {
		at(name).Expected = true
	}
	if o, ok := r.config.Target.(Observer); ok {
		current := r.state.Current.Credential.Username
		users := []string{current}
		for _, user := range left {
			if user != current { // else it is its older password that is left
				users = append(users, user)
			}
		}
		if p := r.state.Previous; p != nil && !slices.Contains(users, p.Credential.Username) {
			users = append(users, p.Credential.Username)
		}
		ctx, cancel := context.WithTimeout(ctx, r.config.StepTimeout)
		defer cancel()
		for _, user := range users {
			uses, err := o.Uses(ctx, user)
			if err != nil {
				return nil, fmt.Errorf("rotate: %s: who uses %q cannot be found out: %w", r.config.Store.Name(), user, err)
			}
			for _, u := range uses {
				at(u.Application).add(u, behind(r.config.Target.Strategy(), u, user == current))
			}
		}
	}
	var list []Consumer
	for _, application := range slices.Sorted(maps.Keys(all)) {
		list = append(list, *all[application])
	}
	return list, nil
}

// behind counts the sessions of an older credential. Where the user changes with
// each rotation, those of the current one are none, though they would hold it back
// if it were to be reset or retired.
func behind(s Strategy, u Use, current bool) int {
	switch {
	case !current:
		return u.Sessions
	case s.InPlace || s.Dual:
		return u.Old
	}
	return 0
}

func (c *Consumer) add(u Use, behind int) {
	c.Sessions += u.Sessions
	c.Behind += behind
	if c.Oldest.IsZero() || u.Oldest.Before(c.Oldest) {
		c.Oldest = u.Oldest
	}
}
