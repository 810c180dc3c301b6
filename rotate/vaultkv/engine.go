package vaultkv

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/hashicorp/vault/api"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/internal/beside"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/vault"
)

// An engine is the place of the two documents. Their versions are the engine's.
type engine struct {
	client         *api.Client
	secret, beside string // with mount and data/
}

var _ beside.Place = (*engine)(nil)

// Where is the path of a document.
func (e *engine) Where(w beside.Which) string {
	if w == beside.Secret {
		return e.secret
	}
	return e.beside
}

// Missing tells of a secret that is not there.
func (e *engine) Missing() error {
	return source.Permanent(&vault.Error{Op: "read", Path: e.secret, Kind: vault.NotFound, Detail: "there is no such secret, or it is deleted, or the mount is not of version 2"})
}

// Read reads a document.
func (e *engine) Read(ctx context.Context, w beside.Which) (beside.Document, error) {
	path := e.Where(w)
	got, err := e.client.Logical().ReadWithContext(ctx, path)
	switch {
	case err != nil:
		return beside.Document{}, failed(ctx, "read", path, err)
	case got == nil:
		return beside.Document{Version: "0"}, nil // for check-and-set: there is none
	}
	version, err := number(path, got.Data["metadata"])
	if err != nil {
		return beside.Document{}, err
	}
	data, ok := got.Data["data"].(map[string]any) // nil if it is deleted, which still counts
	if !ok && got.Data["data"] != nil {
		return beside.Document{}, malformed("read", path, "its data is not an object")
	}
	return beside.Document{Data: data, Version: version}, nil
}

// Write replaces a document by check-and-set.
func (e *engine) Write(ctx context.Context, w beside.Which, old beside.Document, data map[string]any) (beside.Document, error) {
	path := e.Where(w)
	cas, err := strconv.Atoi(old.Version)
	if err != nil {
		return beside.Document{}, malformed("write", path, "its version is not a number")
	}
	got, err := e.client.Logical().WriteWithContext(ctx, path, map[string]any{
		"options": map[string]any{"cas": cas}, "data": data,
	})
	if err != nil {
		return beside.Document{}, e.refused(ctx, w, old, failed(ctx, "write", path, err))
	}
	var answer any
	if got != nil {
		answer = got.Data
	}
	version, err := number(path, answer)
	return beside.Document{Data: data, Version: version}, err
}

// refused finds out whether a write was refused because of check-and-set: Vault
// has no code for it, but then the document has another version.
func (e *engine) refused(ctx context.Context, w beside.Which, old beside.Document, err error) error {
	var response *api.ResponseError
	if !errors.As(err, &response) || response.StatusCode != http.StatusBadRequest {
		return err
	}
	if now, readErr := e.Read(ctx, w); readErr == nil && now.Version != old.Version {
		return errors.Join(rotate.ErrConflict, err)
	}
	return err
}

// number reads the version out of a document's metadata.
func number(path string, metadata any) (string, error) {
	data, _ := metadata.(map[string]any)
	version, _ := data["version"].(json.Number)
	if n, err := version.Int64(); err != nil || n < 1 {
		return "", malformed("read", path, "it has no version; is this a mount of version 2?")
	}
	return version.String(), nil
}
