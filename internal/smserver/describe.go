package smserver

import "context"

// about is what DescribeSecret and ListSecrets have in common.
type about struct {
	ref
	Description       string `json:",omitempty"`
	KmsKeyID          string `json:"KmsKeyId,omitempty"`
	RotationEnabled   *bool  `json:",omitempty"`
	RotationLambdaARN string `json:",omitempty"`
	RotationRules     *rules `json:",omitempty"`
	LastRotatedDate   stamp  `json:",omitzero"`
	NextRotationDate  stamp  `json:",omitzero"`
	LastChangedDate   stamp
	LastAccessedDate  stamp `json:",omitzero"`
	DeletedDate       stamp `json:",omitzero"`
	CreatedDate       stamp
	Tags              []tag `json:",omitempty"`
}

type describeOut struct {
	about
	VersionIDsToStages map[string][]string `json:"VersionIdsToStages,omitempty"`
}

func (s *secret) about() about {
	a := about{
		ref: ref{s.arn, s.name}, Description: s.description, KmsKeyID: s.kmsKey, Tags: s.tags,
		CreatedDate: stamp(s.created), LastChangedDate: stamp(s.changed),
		LastAccessedDate: stamp(s.accessed), DeletedDate: stamp(s.deletion),
	}
	s.rotation.describe(&a)
	return a
}

// describeSecret tells of secrets that are scheduled for deletion, too.
func (s *Store) describeSecret(ctx context.Context, in secretID) (out describeOut, err error) {
	st, _ := s.view(ctx)
	c, err := st.find(in.SecretID)
	if err != nil {
		return out, err
	}
	return describeOut{about: c.about(), VersionIDsToStages: c.stages()}, nil
}
