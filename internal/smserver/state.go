package smserver

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The labels that Secrets Manager itself moves.
const (
	current  = "AWSCURRENT"
	previous = "AWSPREVIOUS"
	pending  = "AWSPENDING"
)

// A state is all secrets by name. A published one is never changed.
type state map[string]*secret

// A secret is what DescribeSecret tells, and the values.
type secret struct {
	name, arn, description, kmsKey string

	tags     []tag
	created  time.Time
	changed  time.Time
	accessed time.Time
	deletion time.Time // when it is gone; zero: it is not scheduled for deletion

	versions []version         // oldest first
	labels   map[string]string // label to version: each sits on one version at most
	rotation schedule
}

// A version is one value, or an empty place for one while a rotation runs.
type version struct {
	id       string
	created  time.Time
	accessed time.Time
	kmsKey   string
	value    value
}

// A value is text or bytes, or neither.
type value struct {
	text   *string
	binary []byte
}

func (v value) empty() bool { return v.text == nil && v.binary == nil }

func (v value) equal(o value) bool {
	if v.text != nil && o.text != nil {
		return *v.text == *o.text
	}
	return v.text == nil && o.text == nil && slices.Equal(v.binary, o.binary)
}

// at is the state without the secrets whose recovery window has ended.
func (st state) at(now time.Time) state {
	gone := func(s *secret) bool { return !s.deletion.IsZero() && !now.Before(s.deletion) }
	for _, s := range st {
		if gone(s) {
			left := maps.Clone(st)
			maps.DeleteFunc(left, func(_ string, s *secret) bool { return gone(s) })
			return left
		}
	}
	return st
}

var arnSuffix = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)

// find looks a secret up by name, ARN, or ARN without the random end. What looks
// like a complete ARN is taken for one, even if the name just ends like that.
func (st state) find(id string) (*secret, error) {
	switch {
	case id == "" || len(id) > 2048:
		return nil, invalid("secretId", "have length between 1 and 2048")
	case !strings.HasPrefix(id, "arn:"):
		if s := st[id]; s != nil {
			return s, nil
		}
	default:
		complete := arnSuffix.MatchString(id)
		for _, s := range st {
			if s.arn == id || !complete && arnSuffix.ReplaceAllString(s.arn, "") == id {
				return s, nil
			}
		}
	}
	return nil, refuse(notFound, "Secrets Manager can't find the specified secret.")
}

// usable is find for operations that a scheduled deletion forbids.
func (st state) usable(id string) (*secret, error) {
	s, err := st.find(id)
	if err == nil && !s.deletion.IsZero() {
		return nil, refuse(badState, "You can't perform this operation on the secret because it was marked for deletion.")
	}
	return s, err
}

// edit is usable for a draft: the secret that it returns may be changed.
func (st state) edit(id string) (*secret, error) {
	s, err := st.usable(id)
	if err != nil {
		return nil, err
	}
	return st.copy(s), nil
}

// copy replaces a secret of a draft by a copy that may be changed.
func (st state) copy(s *secret) *secret {
	c := *s
	c.tags, c.versions, c.labels = slices.Clone(s.tags), slices.Clone(s.versions), maps.Clone(s.labels)
	st[c.name] = &c
	return &c
}

func (s *secret) version(id string) *version {
	for i := range s.versions {
		if s.versions[i].id == id {
			return &s.versions[i]
		}
	}
	return nil
}

func (s *secret) remove(id string) {
	s.versions = slices.DeleteFunc(s.versions, func(v version) bool { return v.id == id })
}

// labelsOf returns the labels of a version in order, nil if it has none: then
// it is deprecated.
func (s *secret) labelsOf(id string) []string {
	var labels []string
	for label, at := range s.labels {
		if at == id {
			labels = append(labels, label)
		}
	}
	slices.Sort(labels)
	return labels
}

// stages maps versions to their labels, without the deprecated ones.
func (s *secret) stages() map[string][]string {
	all := map[string][]string{}
	for _, v := range s.versions {
		if labels := s.labelsOf(v.id); labels != nil {
			all[v.id] = labels
		}
	}
	return all
}

// attach puts labels on a version and takes them from where they were.
// AWSPREVIOUS goes to the version that AWSCURRENT leaves.
func (s *secret) attach(id string, labels ...string) error {
	for _, label := range labels {
		if left := s.labels[label]; label == current && left != "" && left != id {
			s.labels[previous] = left
		}
		s.labels[label] = id
	}
	if len(s.labels) > maxLabels {
		return refuse(overLimit, "You can't attach more than %d staging labels to a secret's versions.", maxLabels)
	}
	return nil
}

// The quotas of the service.
const (
	maxLabels   = 20
	maxVersions = 100
	maxValue    = 65536
)

// add makes a version. When there are too many, the oldest without labels that
// are older than a day make room.
func (s *secret) add(v version) error {
	s.versions = append(s.versions, v)
	extra := len(s.versions) - maxVersions
	s.versions = slices.DeleteFunc(s.versions, func(o version) bool {
		old := extra > 0 && o.id != v.id && s.labelsOf(o.id) == nil && v.created.Sub(o.created) >= 24*time.Hour
		if old {
			extra--
		}
		return old
	})
	if extra > 0 {
		return refuse(overLimit, "You can't have more than %d versions of a secret.", maxVersions)
	}
	return nil
}
