package smserver

import (
	"context"
	"time"
)

type stageIn struct {
	secretID
	VersionStage        string
	MoveToVersionID     string
	RemoveFromVersionID string
}

func (s *Store) updateSecretVersionStage(_ context.Context, in stageIn) (out ref, err error) {
	if err := validLabel(in.VersionStage); err != nil {
		return out, err
	}
	err = s.change(func(st state, now time.Time) error {
		c, err := st.edit(in.SecretID)
		if err != nil {
			return err
		}
		out, c.changed = ref{c.arn, c.name}, now
		return c.move(in.VersionStage, in.RemoveFromVersionID, in.MoveToVersionID)
	})
	return out, err
}

// move takes a label from one version to another; either may be empty. It is a
// compare-and-swap: a label that sits somewhere leaves only if the request knows
// where that is.
func (s *secret) move(label, from, to string) error {
	holder := s.labels[label]
	switch {
	case from == "" && to == "":
		return refuse(badParameter, "You must specify MoveToVersionId, RemoveFromVersionId or both.")
	case to != "" && s.version(to) == nil:
		return refuse(notFound, "Secrets Manager can't find the specified secret version: %s", to)
	case from != "" && from != holder:
		return refuse(badParameter, "The staging label %s is not attached to version %s, which RemoveFromVersionId names.", label, from)
	case from == "" && holder != "" && holder != to:
		return refuse(badParameter, "The parameter RemoveFromVersionId can't be empty. Staging label %s is currently attached to version %s, so you must explicitly reference that version in RemoveFromVersionId.", label, holder)
	case to == "" && label == current:
		return refuse(badParameter, "You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed.")
	case to == "":
		delete(s.labels, label)
		return nil
	}
	return s.attach(to, label)
}
