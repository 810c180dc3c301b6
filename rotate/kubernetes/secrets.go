package kubernetes

import (
	"context"
	"errors"
	"maps"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/rekey-go/rekey/internal/fields"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/internal/beside"
	"github.com/rekey-go/rekey/source"
)

// manager owns the fields that are written, in the eyes of the API server.
const manager = "rekey"

// secrets is the place of the two documents: Secrets, whose versions are their
// resourceVersions.
type secrets struct {
	client                    corev1.SecretsGetter
	namespace, secret, beside string
	names                     fields.Names
}

var _ beside.Place = (*secrets)(nil)

func (s *secrets) name(w beside.Which) string {
	if w == beside.Secret {
		return s.secret
	}
	return s.beside
}

func (s *secrets) api() corev1.SecretInterface { return s.client.Secrets(s.namespace) }

// Where names a Secret.
func (s *secrets) Where(w beside.Which) string { return "secret " + s.namespace + "/" + s.name(w) }

// Missing tells of a Secret that is not there.
func (s *secrets) Missing() error {
	return source.Permanent(&Error{
		Verb: "get", Namespace: s.namespace, Name: s.secret, Kind: NotFound,
		Detail: "there is no such Secret; make it first, or correct name and namespace",
	})
}

// Read reads a Secret.
func (s *secrets) Read(ctx context.Context, w beside.Which) (beside.Document, error) {
	got, err := s.get(ctx, w)
	if err != nil || got == nil {
		return beside.Document{}, err
	}
	return s.document(w, got)
}

// get returns nil for a Secret that is not there.
func (s *secrets) get(ctx context.Context, w beside.Which) (*core.Secret, error) {
	got, err := s.api().Get(ctx, s.name(w), meta.GetOptions{})
	switch {
	case notThere(err):
		return nil, nil
	case err != nil:
		return nil, s.failed(ctx, "get", w, err, nil)
	case got.ResourceVersion == "" || got.Name != s.name(w) || got.Namespace != s.namespace:
		return nil, &Error{Verb: "get", Namespace: s.namespace, Name: s.name(w), Kind: Malformed, Detail: "it is not the Secret that was asked for"}
	case got.Immutable != nil && *got.Immutable:
		return nil, source.Permanent(&Error{
			Verb: "get", Namespace: s.namespace, Name: s.name(w), Kind: Refused,
			Detail: `the Secret is immutable and cannot be rotated; delete it and make it anew without "immutable: true"`,
		})
	}
	return got, nil
}

// Write replaces the data of a Secret if it still has its version, or makes it if
// there was none.
func (s *secrets) Write(ctx context.Context, w beside.Which, old beside.Document, data map[string]any) (beside.Document, error) {
	now, err := s.get(ctx, w)
	if err != nil {
		return beside.Document{}, err
	}
	if was := old.Version; (now == nil && was != "") || (now != nil && now.ResourceVersion != was) {
		return beside.Document{}, rotate.ErrConflict
	}
	verb := "update"
	if now == nil {
		verb = "create"
		if now, err = s.fresh(ctx); err != nil {
			return beside.Document{}, err
		}
	}
	if err := s.fill(w, now, data); err != nil {
		return beside.Document{}, err
	}
	if verb == "create" {
		now, err = s.api().Create(ctx, now, meta.CreateOptions{FieldManager: manager})
	} else {
		now, err = s.api().Update(ctx, now, meta.UpdateOptions{FieldManager: manager})
	}
	if err != nil {
		return beside.Document{}, s.refused(ctx, w, old, s.failed(ctx, verb, w, err, data))
	}
	return s.document(w, now)
}

// fresh is an envelope that the Secret owns.
func (s *secrets) fresh(ctx context.Context) (*core.Secret, error) {
	owner, err := s.get(ctx, beside.Secret)
	if err != nil {
		return nil, err
	}
	if owner == nil {
		return nil, s.Missing()
	}
	return &core.Secret{
		ObjectMeta: meta.ObjectMeta{
			Name: s.beside, Namespace: s.namespace,
			Labels:      map[string]string{"app.kubernetes.io/managed-by": manager},
			Annotations: map[string]string{"rekey-go.github.io/beside": s.secret},
			OwnerReferences: []meta.OwnerReference{{
				APIVersion: "v1", Kind: "Secret", Name: owner.Name, UID: owner.UID,
			}},
		},
		Type: core.SecretTypeOpaque,
	}, nil
}

// refused finds out whether a write was refused because somebody else was first:
// webhooks may use the same codes.
func (s *secrets) refused(ctx context.Context, w beside.Which, old beside.Document, err error) error {
	var e *Error
	if !errors.As(err, &e) || e.Kind != conflict {
		return err
	}
	now, readErr := s.get(ctx, w)
	if readErr != nil {
		return readErr
	}
	if version := old.Version; (now == nil) != (version == "") || (now != nil && now.ResourceVersion != version) {
		return errors.Join(rotate.ErrConflict, err)
	}
	e.Kind = Refused
	return source.Permanent(e)
}

// rehearse has the server try what promotes next, without doing it.
func (s *secrets) rehearse(ctx context.Context, token string, next source.Credential) error {
	for {
		now, err := s.get(ctx, beside.Secret)
		if err != nil {
			return err
		}
		if now == nil {
			return s.Missing()
		}
		d, err := s.document(beside.Secret, now)
		if err != nil {
			return err
		}
		data := maps.Clone(d.Data)
		for name, value := range s.names.Changed(d.Data, next) {
			data[name] = value
			if err := s.text(name, now.Data[name], value); err != nil {
				return err
			}
		}
		data[s.names.Password], data[beside.Marker] = next.Password.Reveal(), token
		if next.Username != "" {
			data[s.names.Username] = next.Username
		}
		if err := s.fill(beside.Secret, now, data); err != nil {
			return err
		}
		_, err = s.api().Update(ctx, now, meta.UpdateOptions{FieldManager: manager, DryRun: []string{meta.DryRunAll}})
		if err == nil {
			return nil
		}
		err = s.refused(ctx, beside.Secret, d, s.failed(ctx, "update", beside.Secret, err, data))
		if !errors.Is(err, rotate.ErrConflict) {
			return err
		}
	}
}

// notThere reports that the server has no such Secret, as opposed to something
// that does not know what Secrets are.
func notThere(err error) bool {
	return apierrors.IsNotFound(err) && !foreign(err)
}
