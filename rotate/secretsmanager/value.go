package secretsmanager

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/secretsmanager"
)

// A version is one version and the JSON object that it was read from.
type version struct {
	rotate.Version
	data map[string]any
}

func (s *Store) get(ctx context.Context, id string) (*sdk.GetSecretValueOutput, error) {
	out, err := s.client.GetSecretValue(ctx, &sdk.GetSecretValueInput{SecretId: &s.id, VersionId: &id})
	if err != nil {
		return nil, s.failed(ctx, "GetSecretValue", "", err)
	}
	return out, nil
}

func (s *Store) version(ctx context.Context, id string) (version, error) {
	out, err := s.get(ctx, id)
	if err != nil {
		return version{}, err
	}
	v := version{Version: rotate.Version{Token: id, Created: aws.ToTime(out.CreatedDate)}}
	if v.data = object(out.SecretString); v.data == nil {
		return version{}, source.Permanent(&secretsmanager.Error{Op: "GetSecretValue", SecretID: s.id, Kind: secretsmanager.Unreadable, Detail: "version " + id + " is not a JSON object"})
	}
	c, err := s.names.Login(s.where(), v.data)
	if err != nil {
		return version{}, err
	}
	v.Credential = s.names.Others(c, v.data)
	v.Credential.Version = id
	return v, nil
}

// object reads a JSON object; nil: it is none.
func object(text *string) map[string]any {
	if text == nil || !utf8.ValidString(*text) {
		return nil
	}
	dec := json.NewDecoder(strings.NewReader(strings.TrimPrefix(*text, "\ufeff")))
	dec.UseNumber()
	var data map[string]any
	if dec.Decode(&data) != nil || dec.More() {
		return nil
	}
	return data
}

// successor is the value of the version after v: the same but for the login.
func (s *Store) successor(v version, next source.Credential) (source.Secret, error) {
	delete(v.data, s.names.Username)
	if next.Username != "" {
		v.data[s.names.Username] = next.Username
	}
	for name, value := range s.names.Changed(v.data, next) {
		v.data[name] = value
	}
	v.data[s.names.Password] = next.Password.Reveal()
	if _, err := s.names.Login(s.where(), v.data); err != nil {
		return source.Secret{}, err
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false) // it makes values longer, and they may have 64 KiB
	if err := enc.Encode(v.data); err != nil {
		return source.Secret{}, source.Permanent(&secretsmanager.Error{Op: "PutSecretValue", SecretID: s.id, Kind: secretsmanager.Unreadable, Detail: "it cannot be written as JSON"})
	}
	return source.NewSecret(strings.TrimSuffix(text.String(), "\n")), nil
}

func (s *Store) where() string { return "secretsmanager: " + s.id }
