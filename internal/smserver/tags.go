package smserver

import (
	"context"
	"slices"
	"time"
)

type tag struct {
	Key   string
	Value string
}

type tagIn struct {
	secretID
	Tags    []tag
	TagKeys []string
}

func (s *Store) tagResource(_ context.Context, in tagIn) (struct{}, error) {
	return s.retag(in.SecretID, func(c *secret) { c.tags = merge(c.tags, in.Tags) })
}

func (s *Store) untagResource(_ context.Context, in tagIn) (struct{}, error) {
	return s.retag(in.SecretID, func(c *secret) {
		c.tags = slices.DeleteFunc(c.tags, func(t tag) bool { return slices.Contains(in.TagKeys, t.Key) })
	})
}

func (s *Store) retag(id string, f func(*secret)) (out struct{}, err error) {
	return out, s.change(func(st state, _ time.Time) error {
		c, err := st.edit(id)
		if err == nil {
			f(c)
		}
		return err
	})
}

// merge adds tags; of two with the same key the later one stays.
func merge(tags, more []tag) []tag {
	for _, t := range more {
		if i := slices.IndexFunc(tags, func(o tag) bool { return o.Key == t.Key }); i >= 0 {
			tags[i] = t
		} else {
			tags = append(tags, t)
		}
	}
	return tags
}

func keys(tags []tag) (all []string) {
	for _, t := range tags {
		all = append(all, t.Key)
	}
	return all
}

func values(tags []tag) (all []string) {
	for _, t := range tags {
		all = append(all, t.Value)
	}
	return all
}
