package crashtest_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/smserver/smtest"
	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/file"
	"github.com/rekey-go/rekey/rotate/secretsmanager"
	"github.com/rekey-go/rekey/rotate/vaultkv"
	"github.com/rekey-go/rekey/source"
)

// A place says where something is, so that any process finds it.
type place map[string]string

// A storeKind is a column of the matrix.
type storeKind struct {
	name string
	make func(t *testing.T, first source.Credential) place // a new secret
	open func(p place, in *injector) (rotate.Store, error)
	seen func(t *testing.T) string // what the server has said since it was called last; nil: that is not at hand
}

var stores = []storeKind{
	{"file", makeFile, openFile, nil},
	{"secretsmanager", makeSecretsManager, openSecretsManager, nil},
	{"vaultkv", makeVault, openVault, nil},
	{"kubernetes", makeKubernetes, openKubernetes, seenByKubernetes},
}

func document(first source.Credential) map[string]any {
	return map[string]any{"username": first.Username, "password": first.Password.Reveal(), "host": "db"}
}

func makeFile(t *testing.T, first source.Credential) place {
	path := filepath.Join(t.TempDir(), "app.json")
	text, err := json.Marshal(document(first))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return place{"path": path}
}

func openFile(p place, in *injector) (rotate.Store, error) {
	s := file.New(p["path"], nil)
	if in == nil {
		return s, nil
	}
	return hookedStore{s, func(ctx context.Context, _ string, call func(context.Context) error) error {
		return call(errand{ctx, in})
	}}, nil
}

func makeSecretsManager(t *testing.T, first source.Credential) place {
	s := smtest.New(t)
	text, err := json.Marshal(document(first))
	require.NoError(t, err)
	_, err = s.Client(t).CreateSecret(t.Context(), &sdk.CreateSecretInput{Name: aws.String("orders"), SecretString: aws.String(string(text))})
	require.NoError(t, err)
	return place{"url": s.URL}
}

func openSecretsManager(p place, in *injector) (rotate.Store, error) {
	return secretsmanager.New(sdk.New(sdk.Options{
		BaseEndpoint: aws.String(p["url"]), Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "a test", ""),
		HTTPClient:  &http.Client{Transport: carrier(in)},
	}), "orders", nil), nil
}

func makeVault(t *testing.T, first source.Credential) place {
	s := vaulttest.Server(t)
	mount := vaulttest.KV(t, s, 2)
	vaulttest.Do(t, s, "PUT", mount+"/data/app", map[string]any{"data": document(first)})
	return place{"addr": s.Addr(), "token": s.RootToken(), "mount": mount}
}

func openVault(p place, in *injector) (rotate.Store, error) {
	config := api.DefaultConfig()
	if config.Error != nil {
		return nil, config.Error
	}
	config.Address, config.MaxRetries, config.HttpClient.Transport = p["addr"], 0, carrier(in)
	client, err := api.NewClient(config)
	if err != nil {
		return nil, err
	}
	client.SetToken(p["token"])
	return vaultkv.New(client, p["mount"], "app", nil), nil
}

// carrier keeps no connections, so nothing is left to close.
func carrier(in *injector) http.RoundTripper { return carrierTo(nil, in) }

// carrierTo is one to servers that this TLS configuration is for.
func carrierTo(to *tls.Config, in *injector) http.RoundTripper {
	t := &http.Transport{DisableKeepAlives: true, TLSClientConfig: to}
	if in == nil {
		return t
	}
	return trip{t, in}
}
