package vault

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"net/http"

	"github.com/hashicorp/vault/api"

	"github.com/rekey-go/rekey/source"
)

// KV returns a source that reads the secret at path of the key-value engine at
// mount. Keys other than those of user name and password become fields:
// strings as they are, anything else as its JSON.
//
// The credential's Version is the token of the rotation that wrote the secret,
// if package rotate did; else, in version 2 of the engine, the number of the
// secret's version. In version 1 a key "ttl" of the secret says how soon to look
// again.
func KV(client *api.Client, mount, path string, opts *Options) source.Source {
	k := &kv{access: newAccess(client, sessionOf(opts)), opts: opts.withDefaults()}
	mount, mountErr := cleanPath(mount)
	path, pathErr := cleanPath(path)
	var versionErr error
	switch k.opts.KVVersion {
	case 1:
		path = mount + "/" + path
	case 2:
		path = mount + "/data/" + path
	default:
		versionErr = errors.New("vault: the key-value engine has the versions 1 and 2 only")
	}
	if err := errors.Join(mountErr, pathErr, versionErr); err != nil && k.access.err == nil {
		k.access.err = source.Permanent(err)
	}
	k.read = request{op: "read", method: http.MethodGet, path: path}
	return k
}

type kv struct {
	access *access
	opts   Options
	read   request
}

// Credential reads the secret.
func (k *kv) Credential(ctx context.Context) (source.Credential, error) {
	got, err := k.access.do(ctx, k.read)
	if err != nil {
		return source.Credential{}, k.explain(err)
	}
	return k.parse(got)
}

// explain adds what usually is the matter.
func (k *kv) explain(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Kind == NotFound {
		e.Detail = "there is no such secret, or it is deleted"
		if k.opts.KVVersion == 2 {
			e.Detail += ", or the mount is of version 1 (Options.KVVersion)"
		} else {
			e.Detail += ", or the mount is of version 2 (Options.KVVersion)"
		}
	}
	return err
}

// versionField holds the token of the rotation that has written the secret
// (package rotate/vaultkv), which then is its version.
const versionField = "rekey_version"

func without(data map[string]any, name string) map[string]any {
	data = maps.Clone(data)
	delete(data, name)
	return data
}

// parse makes a credential of an answer.
func (k *kv) parse(got answer) (source.Credential, error) {
	if got.Secret == nil {
		return source.Credential{}, k.read.malformed("it is empty")
	}
	field := func(name, problem string) (source.Credential, error) {
		return source.Credential{}, &source.FieldError{Where: "vault: " + k.read.path, Field: name, Problem: problem}
	}
	data, version := got.Data, ""
	if k.opts.KVVersion == 2 {
		var ok bool
		if data, ok = got.Data["data"].(map[string]any); !ok {
			return field("data", "is missing or not an object; is this a mount of version 2 (Options.KVVersion)?")
		}
		metadata, _ := got.Data["metadata"].(map[string]any)
		number, ok := metadata["version"].(json.Number)
		if n, err := number.Int64(); !ok || err != nil || n < 1 {
			return field("metadata.version", "is missing or not a positive number")
		}
		version = number.String()
	}
	if token, ok := data[versionField].(string); ok && token != "" {
		version = token
	}
	c, err := k.opts.login(k.read.path, data)
	if err != nil {
		return source.Credential{}, err
	}
	c = k.opts.others(c, without(data, versionField))
	c.Version, c.Issued = version, got.began
	poll := k.opts.Poll
	if _, ok := data["ttl"]; ok && k.opts.KVVersion == 1 && got.LeaseDuration > 0 {
		if ttl := wholeSeconds(got.LeaseDuration); poll == 0 || ttl < poll {
			poll = ttl
		}
	}
	if poll > 0 {
		c.Recheck = got.began.Add(poll - fraction(poll/5, rand.Float64()))
	}
	return c, nil
}
