package job_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/mysqlserver"
	"github.com/rekey-go/rekey/internal/mysqlserver/mysqltest"
	"github.com/rekey-go/rekey/internal/smserver"
	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
	"github.com/rekey-go/rekey/rotate/mysql"
)

// The rotator's own credential is in the environment, with no more rights than
// package rotate/mysql lists.
func TestMariaDB(t *testing.T) {
	db := mysqltest.Database(t, mysqlserver.MariaDB)
	rotator, user := db.Role("rotator"), db.Role("orders")
	db.CreateUser(rotator, "rotator's")
	db.CreateUser(user, "first")
	account, err := mysql.Account(rotator, "%")
	require.NoError(t, err)
	for _, statement := range []string{
		"create database if not exists rekey", "grant create user, process on *.* to " + account,
		"grant create, select, insert, update on rekey.* to " + account,
	} {
		db.Exec(statement)
	}
	t.Setenv("ORDERS_ADMIN_USERNAME", rotator)
	t.Setenv("ORDERS_ADMIN_PASSWORD", "rotator's")
	s := &scene{t: t, dir: t.TempDir(), names: []string{"orders"}}
	store := s.file("orders.json", credential{user, "first"})
	config := db.Config()
	fmt.Fprintf(&s.yaml, `audit: %s
secrets:
- name: orders
  store: {file: {path: %s}}
  target:
    mysql:
      strategy: dual password
      login: %s(%s)/%s?tls=skip-verify
      admin: {env: ORDERS_ADMIN}
  lifetime: 1h
`, s.path("audit.jsonl"), store, config.Net, config.Addr, db.Name)
	for range 2 {
		before := s.current("orders")
		require.Contains(t, s.must("run", "-now"), "orders: rotated")
		require.NotEqual(t, before, s.current("orders"))
		require.Contains(t, s.must("status"), "logs in")
	}
	require.Contains(t, s.must("history"), "previous")
}

// Region, endpoint and credentials of the client are found in the environment.
func TestSecretsManager(t *testing.T) {
	emulator, err := smserver.Start(smserver.New())
	require.NoError(t, err)
	t.Cleanup(emulator.Close)
	for name, value := range map[string]string{
		"AWS_REGION": "eu-central-1", "AWS_ENDPOINT_URL": emulator.URL, "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	client := sdk.New(sdk.Options{
		Region: "eu-central-1", BaseEndpoint: &emulator.URL, Credentials: credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "example", ""),
	})
	s := newScene(t)
	s.secret("orders", "alternating users")
	value := s.read("orders.json")
	_, err = client.CreateSecret(t.Context(), &sdk.CreateSecretInput{Name: aws.String("shop/orders"), SecretString: &value})
	require.NoError(t, err)
	text := strings.Replace(s.yaml.String(), "{file: {path: "+s.path("orders.json")+"}}", "{secretsmanager: {id: shop/orders}}", 1)
	s.yaml.Reset()
	s.yaml.WriteString(text)
	require.Contains(t, s.must("run", "-now"), "orders: rotated")
	out, err := client.GetSecretValue(t.Context(), &sdk.GetSecretValueInput{SecretId: aws.String("shop/orders"), VersionStage: aws.String("AWSCURRENT")})
	require.NoError(t, err)
	var now credential
	require.NoError(t, json.Unmarshal([]byte(*out.SecretString), &now))
	require.Equal(t, s.db.Role("orders_clone"), now.Username)
	require.NotContains(t, s.read("audit.jsonl"), now.Password)
}

// The address is in the environment, the token in a file, as an agent writes it.
func TestVaultKV(t *testing.T) {
	vault := vaulttest.Server(t)
	s := newScene(t)
	s.secret("orders", "parallel role")
	mount := vaulttest.KV(t, vault, 2)
	vaulttest.Do(t, vault, "POST", mount+"/data/orders", map[string]any{"data": s.current("orders")})
	t.Setenv("VAULT_ADDR", vault.Addr())
	require.NoError(t, os.WriteFile(s.path("token"), []byte(vault.Root().Token+"\n"), 0o600))
	text := strings.Replace(s.yaml.String(), "{file: {path: "+s.path("orders.json")+"}}",
		fmt.Sprintf("{vaultkv: {mount: %s, path: orders, token_file: %s}}", mount, s.path("token")), 1)
	s.yaml.Reset()
	s.yaml.WriteString(text)
	require.Contains(t, s.must("run", "-now"), "orders: rotated")
	require.Contains(t, s.must("status"), "user "+s.db.Role("orders_owner"))
	require.NotContains(t, s.read("audit.jsonl"), vault.Root().Token)
}
