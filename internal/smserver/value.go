package smserver

import (
	"cmp"
	"context"
	"time"
)

type getIn struct {
	secretID
	VersionID    string
	VersionStage string
}

type getOut struct {
	ref
	VersionID     string   `json:"VersionId"`
	SecretString  *string  `json:",omitempty"`
	SecretBinary  []byte   `json:",omitempty"`
	VersionStages []string `json:",omitempty"`
	CreatedDate   stamp
}

func (s *Store) getSecretValue(ctx context.Context, in getIn) (out getOut, err error) {
	st, now := s.view(ctx)
	c, err := st.usable(in.SecretID)
	if err != nil {
		return out, err
	}
	v, err := c.choose(in.VersionID, in.VersionStage)
	if err != nil {
		return out, err
	}
	s.accessed(c.arn, v.id, now)
	return getOut{
		ref: ref{c.arn, c.name}, VersionID: v.id, SecretString: v.value.text, SecretBinary: v.value.binary,
		VersionStages: c.labelsOf(v.id), CreatedDate: stamp(v.created),
	}, nil
}

// choose finds the version that a request means, which has a value.
func (s *secret) choose(id, label string) (*version, error) {
	if id != "" {
		v := s.version(id)
		switch {
		case v == nil || label == "" && v.value.empty():
			return nil, refuse(notFound, "Secrets Manager can't find the specified secret value for VersionId: %s", id)
		case label != "" && s.labels[label] != id:
			return nil, refuse(badState, "You provided a VersionStage that is not associated to the provided VersionId.")
		case v.value.empty():
			return nil, refuse(notFound, "Secrets Manager can't find the specified secret value for staging label: %s", label)
		}
		return v, nil
	}
	label = cmp.Or(label, current)
	v := s.version(s.labels[label])
	if v == nil || v.value.empty() {
		return nil, refuse(notFound, "Secrets Manager can't find the specified secret value for staging label: %s", label)
	}
	return v, nil
}

// accessed notes the day on which a value was last read.
func (s *Store) accessed(arn, id string, now time.Time) {
	today := day(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	noted := func(c *secret, v *version) bool { return c.accessed.Equal(today) && v.accessed.Equal(today) }
	st := s.moments[len(s.moments)-1].state
	c, err := st.find(arn)
	if err != nil || c.version(id) == nil || noted(c, c.version(id)) {
		return // or it is seen in the past only
	}
	_ = s.changeLocked(func(st state, _ time.Time) error {
		c, err := st.find(arn)
		if err == nil {
			c = st.copy(c)
			c.accessed, c.version(id).accessed = today, today
		}
		return err // deleted for good by now
	})
}

type putIn struct {
	secretID
	valueIn
	ClientRequestToken string
	VersionStages      []string
}

type putOut struct {
	ref
	VersionID     string   `json:"VersionId"`
	VersionStages []string `json:",omitempty"`
}

func (s *Store) putSecretValue(_ context.Context, in putIn) (out putOut, err error) {
	labels := in.VersionStages
	switch {
	case labels == nil:
		labels = []string{current}
	case len(labels) == 0 || len(labels) > maxLabels:
		return out, invalid("versionStages", "have between 1 and 20 members")
	}
	for _, label := range labels {
		if err := validLabel(label); err != nil {
			return out, err
		}
	}
	v, err := in.value()
	if err != nil {
		return out, err
	}
	if v.empty() {
		return out, refuse(badState, "You must provide either SecretString or SecretBinary.")
	}
	id, err := token(in.ClientRequestToken)
	if err != nil {
		return out, err
	}
	err = s.change(func(st state, now time.Time) error {
		c, err := st.edit(in.SecretID)
		if err != nil {
			return err
		}
		if old := c.version(id); old == nil || old.value.empty() {
			err = c.put(id, v, now, labels...)
		} else if !old.value.equal(v) {
			err = c.tokenInUse(id)
		}
		out = putOut{ref: ref{c.arn, c.name}, VersionID: id, VersionStages: c.labelsOf(id)}
		return err
	})
	return out, err
}

func validLabel(label string) error {
	if label == "" || len(label) > 256 {
		return invalid("versionStage", "have length between 1 and 256")
	}
	return nil
}

type updateIn struct {
	secretID
	valueIn
	ClientRequestToken string
	Description        *string
	KmsKeyID           *string
	Type               string
}

// updateSecret, unlike PutSecretValue, is not idempotent: a token that is in
// use is an error, whatever the value.
func (s *Store) updateSecret(_ context.Context, in updateIn) (out createOut, err error) {
	if in.Type != "" {
		return out, refuse(badParameter, "There are no external secrets here.")
	}
	v, err := in.value()
	if err != nil {
		return out, err
	}
	id, err := token(in.ClientRequestToken)
	if err != nil {
		return out, err
	}
	err = s.change(func(st state, now time.Time) error {
		c, err := st.edit(in.SecretID)
		if err != nil {
			return err
		}
		if in.Description != nil {
			c.description = *in.Description
		}
		if in.KmsKeyID != nil {
			c.kmsKey = *in.KmsKeyID
		}
		c.changed = now
		out.ref = ref{c.arn, c.name}
		if v.empty() {
			return nil
		}
		if c.version(id) != nil {
			return c.tokenInUse(id)
		}
		out.VersionID = id
		return c.put(id, v, now, current)
	})
	return out, err
}
