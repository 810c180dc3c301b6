package job

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/hashicorp/vault/api"
	"go.yaml.in/yaml/v3"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/file"
	"github.com/rekey-go/rekey/rotate/secretsmanager"
	"github.com/rekey-go/rekey/rotate/vaultkv"
)

var stores = map[string]OpenStore{
	"file":           openFile,
	"vaultkv":        openVaultKV,
	"secretsmanager": openSecretsManager,
}

// openStore opens the one store that is described.
func (j *Job) openStore(ctx context.Context, described map[string]yaml.Node) (rotate.Store, error) {
	all := maps.Clone(stores)
	maps.Copy(all, j.Stores)
	for kind, node := range described {
		open := all[kind]
		if open == nil {
			return nil, wrong("there is no store %q; there are %s", kind, strings.Join(slices.Sorted(maps.Keys(all)), ", "))
		}
		return open(ctx, decoder(node))
	}
	return nil, errors.New("no store") // the configuration has been checked for that
}

// store: {file: {path: /run/secrets/orders.json}}
func openFile(_ context.Context, decode func(any) error) (rotate.Store, error) {
	var c struct {
		Path   string `yaml:"path"`
		Beside string `yaml:"beside"` // empty: .NAME.rekey beside it
	}
	if err := decode(&c); err != nil {
		return nil, err
	}
	path, err := expand(c.Path)
	if err != nil {
		return nil, wrong("path: %s", err)
	}
	beside, err := expand(c.Beside)
	if err != nil {
		return nil, wrong("beside: %s", err)
	}
	return file.New(path, &file.Options{Beside: beside}), nil
}

// store: {vaultkv: {mount: secret, path: orders}}
//
// Address and token are those of VAULT_ADDR and VAULT_TOKEN, as for the vault
// command, unless the token is in a file, where an agent has put it.
func openVaultKV(_ context.Context, decode func(any) error) (rotate.Store, error) {
	var c struct {
		Mount     string `yaml:"mount"`
		Path      string `yaml:"path"`
		Beside    string `yaml:"beside"` // empty: PATH-rekey
		TokenFile string `yaml:"token_file"`
	}
	if err := decode(&c); err != nil {
		return nil, err
	}
	client, err := api.NewClient(nil)
	if err != nil {
		return nil, wrong("Vault's environment variables: %s", err)
	}
	if c.TokenFile != "" {
		path, err := expand(c.TokenFile)
		if err != nil {
			return nil, wrong("token_file: %s", err)
		}
		token, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		client.SetToken(strings.TrimSpace(string(token)))
	}
	return vaultkv.New(client, c.Mount, c.Path, &vaultkv.Options{Beside: c.Beside}), nil
}

// store: {secretsmanager: {id: orders/database}}
//
// Region and credentials are found as the AWS command line finds them.
func openSecretsManager(ctx context.Context, decode func(any) error) (rotate.Store, error) {
	var c struct {
		ID     string `yaml:"id"`
		Region string `yaml:"region"` // empty: AWS_REGION
	}
	if err := decode(&c); err != nil {
		return nil, err
	}
	var opts []func(*awsconfig.LoadOptions) error
	if c.Region != "" {
		opts = append(opts, awsconfig.WithRegion(c.Region))
	}
	aws, err := awsconfig.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return nil, err
	}
	return secretsmanager.New(sdk.NewFromConfig(aws), c.ID, nil), nil
}
