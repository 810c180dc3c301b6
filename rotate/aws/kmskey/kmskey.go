// Package kmskey rotates keys of AWS KMS: [New] is a service for package
// rotate/kms.
//
//	target, err := kms.New(&kms.Config{Service: kmskey.New(client, "orders", nil)})
//
// The keys of a secret carry two tags: "rekey:secret" with its name, which people
// put on the first key, and "rekey:label", which rotations write. Keys without the
// first are never touched. KMS cannot list keys by tag, so all keys of the account
// and region are asked for their tags: an account of its own for such keys saves
// requests.
//
// A key that is removed is scheduled for deletion; until that time is over,
// CancelKeyDeletion, called by people, brings it back. KMS's own yearly rotation,
// which changes what is behind a key and keeps its ID, needs none of this.
//
// # Permissions
//
// For the rotator: kms:CreateKey, kms:TagResource, kms:ListKeys,
// kms:ListResourceTags, kms:DescribeKey, kms:EnableKey, kms:DisableKey,
// kms:ScheduleKeyDeletion, kms:Encrypt and kms:Decrypt.
package kmskey

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/rekey-go/rekey/rotate/keys"
	"github.com/rekey-go/rekey/rotate/kms"
)

// Options adjust a service. The zero value, or nil, means the defaults.
type Options struct {
	// WaitDays is how long a removed key can be brought back, from 7 to 30 days.
	// Zero: 30.
	WaitDays int

	// Policy is the key policy of new keys, as JSON. Empty: that of KMS.
	Policy string
}

const (
	secretTag = "rekey:secret"
	labelTag  = "rekey:label"
)

// New returns the symmetric keys that are tagged with the name of a secret, as a service
// for [kms.Config]. It asks nobody yet.
func New(client *awskms.Client, secret string, opts *Options) kms.Service {
	var o Options
	if opts != nil {
		o = *opts
	}
	return &service{client, secret, int32(cmp.Or(o.WaitDays, 30)), o.Policy}
}

type service struct {
	client *awskms.Client
	secret string
	days   int32
	policy string
}

func (s *service) List(ctx context.Context) (list []keys.Key, err error) {
	pages := awskms.NewListKeysPaginator(s.client, &awskms.ListKeysInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("kmskey: %w", err)
		}
		for _, k := range page.Keys {
			key, ours, err := s.look(ctx, aws.ToString(k.KeyId))
			switch {
			case isCode(err, gone...): // meanwhile
			case err != nil:
				return nil, fmt.Errorf("kmskey: key %q: %w", aws.ToString(k.KeyId), err)
			case ours:
				list = append(list, key)
			}
		}
	}
	return list, nil
}

// look returns a key, and whether it is one of the secret's that is not to be
// deleted.
func (s *service) look(ctx context.Context, id string) (key keys.Key, ours bool, err error) {
	key.ID = id
	tags := awskms.NewListResourceTagsPaginator(s.client, &awskms.ListResourceTagsInput{KeyId: &id})
	for tags.HasMorePages() {
		page, err := tags.NextPage(ctx)
		if err != nil {
			if isCode(err, "AccessDeniedException") { // it is others'
				return key, false, nil
			}
			return key, false, err
		}
		for _, tag := range page.Tags {
			switch aws.ToString(tag.TagKey) {
			case secretTag:
				ours = aws.ToString(tag.TagValue) == s.secret
			case labelTag:
				key.Label = aws.ToString(tag.TagValue)
			}
		}
	}
	if !ours {
		return key, false, nil
	}
	got, err := s.client.DescribeKey(ctx, &awskms.DescribeKeyInput{KeyId: &id})
	if err != nil {
		return key, false, err
	}
	key.Active, key.Created = got.KeyMetadata.Enabled, aws.ToTime(got.KeyMetadata.CreationDate)
	return key, got.KeyMetadata.KeyState != types.KeyStatePendingDeletion, nil
}

func (s *service) Label(ctx context.Context, id, label string) error {
	_, err := s.client.TagResource(ctx, &awskms.TagResourceInput{KeyId: &id, Tags: []types.Tag{tag(labelTag, label)}})
	return about(id, err)
}

func tag(key, value string) types.Tag { return types.Tag{TagKey: &key, TagValue: &value} }

func (s *service) Create(ctx context.Context, label string) (string, error) {
	in := &awskms.CreateKeyInput{Tags: []types.Tag{tag(secretTag, s.secret), tag(labelTag, label)}}
	if s.policy != "" {
		in.Policy = &s.policy
	}
	got, err := s.client.CreateKey(ctx, in)
	if err != nil {
		return "", fmt.Errorf("kmskey: %w", err)
	}
	return aws.ToString(got.KeyMetadata.KeyId), nil
}

func (s *service) Enable(ctx context.Context, id string) error {
	_, err := s.client.EnableKey(ctx, &awskms.EnableKeyInput{KeyId: &id})
	return about(id, err)
}

func (s *service) Disable(ctx context.Context, id string) error {
	_, err := s.client.DisableKey(ctx, &awskms.DisableKeyInput{KeyId: &id})
	return about(id, err)
}

func (s *service) Delete(ctx context.Context, id string) error {
	_, err := s.client.ScheduleKeyDeletion(ctx, &awskms.ScheduleKeyDeletionInput{KeyId: &id, PendingWindowInDays: &s.days})
	if isCode(err, gone...) {
		return nil
	}
	return about(id, err)
}

func (s *service) Encrypt(ctx context.Context, id string, plaintext []byte) ([]byte, error) {
	got, err := s.client.Encrypt(ctx, &awskms.EncryptInput{KeyId: &id, Plaintext: plaintext})
	if err != nil {
		return nil, rejected(id, err)
	}
	return got.CiphertextBlob, nil
}

func (s *service) Decrypt(ctx context.Context, id string, ciphertext []byte) ([]byte, error) {
	got, err := s.client.Decrypt(ctx, &awskms.DecryptInput{KeyId: &id, CiphertextBlob: ciphertext})
	if err != nil {
		return nil, rejected(id, err)
	}
	return got.Plaintext, nil
}

// Codes of KMS.
var (
	gone = []string{"NotFoundException", "KMSInvalidStateException"} // or scheduled for deletion
	nay  = append([]string{"DisabledException", "InvalidCiphertextException", "IncorrectKeyException"}, gone...)
)

func rejected(id string, err error) error {
	if isCode(err, nay...) {
		return fmt.Errorf("kmskey: key %q: %w: %w", id, kms.ErrRejected, err)
	}
	return fmt.Errorf("kmskey: key %q: %w", id, err)
}

func about(id string, err error) error {
	switch {
	case err == nil:
		return nil
	case isCode(err, gone...):
		return fmt.Errorf("kmskey: key %q: %w: %w", id, keys.ErrNotFound, err)
	}
	return fmt.Errorf("kmskey: key %q: %w", id, err)
}

// isCode reports whether err is the service's and has one of the codes.
func isCode(err error, codes ...string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && slices.Contains(codes, api.ErrorCode())
}
