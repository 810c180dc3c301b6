package smserver

import (
	"context"
	"crypto/rand"
	"regexp"
	"strings"
	"time"
)

const arnPrefix = "arn:aws:secretsmanager:us-east-1:123456789012:secret:"

var validName = regexp.MustCompile(`^[A-Za-z0-9/_+=.@!-]+$`)

// ref is how most answers name the secret.
type ref struct {
	ARN  string
	Name string
}

type secretID struct{ SecretID string }

// valueIn is the value in a request. An empty string counts as none.
type valueIn struct {
	SecretString *string
	SecretBinary []byte
}

func (in valueIn) value() (value, error) {
	v := value{text: in.SecretString, binary: in.SecretBinary}
	if v.text != nil && *v.text == "" {
		v.text = nil
	}
	if len(v.binary) == 0 {
		v.binary = nil
	}
	switch {
	case v.text != nil && v.binary != nil:
		return v, refuse(badParameter, "You can't specify both a binary secret value and a string secret value in the same secret.")
	case v.text != nil && len(*v.text) > maxValue:
		return v, invalid("secretString", "have length less than or equal to 65536")
	case len(v.binary) > maxValue:
		return v, invalid("secretBinary", "have length less than or equal to 65536")
	}
	return v, nil
}

// token returns the ID of the version that a request makes.
func token(given string) (string, error) {
	switch {
	case given == "":
		return newUUID(), nil
	case len(given) < 32 || len(given) > 64:
		return "", refuse(badParameter, "ClientRequestToken must be 32-64 characters long.")
	}
	return given, nil
}

type createIn struct {
	valueIn
	Name               string
	ClientRequestToken string
	Description        string
	KmsKeyID           string
	Tags               []tag
	AddReplicaRegions  []any
	Type               string
}

type createOut struct {
	ref
	VersionID string `json:"VersionId,omitempty"`
}

func (s *Store) createSecret(_ context.Context, in createIn) (out createOut, err error) {
	switch {
	case len(in.Name) > 512:
		return out, invalid("name", "have length less than or equal to 512")
	case !validName.MatchString(in.Name):
		return out, refuse("ValidationException",
			"Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!")
	case in.AddReplicaRegions != nil || in.Type != "":
		return out, refuse(badParameter, "There are no replicas or external secrets here.")
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
		if old := st[in.Name]; old != nil {
			out.ref, out.VersionID = ref{old.arn, old.name}, id
			return old.again(id, v)
		}
		c := &secret{
			name: in.Name, arn: arnPrefix + in.Name + "-" + suffix(),
			description: in.Description, kmsKey: in.KmsKeyID, tags: merge(nil, in.Tags),
			created: now, changed: now, labels: map[string]string{},
		}
		st[in.Name] = c
		out.ref = ref{c.arn, c.name}
		if v.empty() {
			return nil
		}
		out.VersionID = id
		return c.put(id, v, now, current)
	})
	return out, err
}

// again judges the creation of a secret that is there: the same request once
// more is none at all.
func (s *secret) again(id string, v value) error {
	if !s.deletion.IsZero() {
		return refuse(badState, "You can't create this secret because a secret with this name is already scheduled for deletion.")
	}
	switch old := s.version(id); {
	case old == nil || v.empty():
		return refuse(exists, "The operation failed because the secret %s already exists.", s.name)
	case !old.value.equal(v):
		return s.tokenInUse(id)
	}
	return nil
}

func (s *secret) tokenInUse(id string) error {
	return refuse(exists, "You can't use ClientRequestToken %s because that value is already in use for a version of secret %s.", id, s.arn)
}

// put makes a version with labels, or fills one that a rotation has prepared.
func (s *secret) put(id string, v value, now time.Time, labels ...string) error {
	if place := s.version(id); place != nil {
		place.value, place.created, place.kmsKey = v, now, s.kmsKey
	} else if err := s.add(version{id: id, created: now, value: v, kmsKey: s.kmsKey}); err != nil {
		return err
	}
	if s.labels[current] == "" {
		labels = append([]string{current}, labels...)
	}
	before := s.labels[current]
	err := s.attach(id, labels...)
	if s.labels[current] != before {
		s.rotation.updated = now
	}
	s.changed = now
	return err
}

// suffix is the random end of an ARN.
func suffix() string { return strings.ToLower(rand.Text()[:3]) + rand.Text()[:3] }
