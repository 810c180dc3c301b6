package main

import (
	"bytes"
	"context"
	_ "embed"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rekey-go/rekey/internal/buildonce"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/examples/vault/setup"
	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/file"
	"github.com/rekey-go/rekey/source/vault"
)

// The configurations that the README shows, in the hands of the real programs,
// while users and tokens end.

func TestAgentWritesAFile(t *testing.T) {
	t.Parallel()
	lab, dir := beside(t, "agent", setup.Agent)
	path := filepath.Join(dir, "database.json")
	eventually(t, func() bool { _, err := os.Stat(path); return err == nil })
	serve(t, lab, file.JSON(path, nil))
}

func TestProxyIsAsGoodAsVault(t *testing.T) {
	for program, variable := range map[string]string{"proxy": "VAULT_ADDR", "agent": "VAULT_AGENT_ADDR"} {
		t.Run(program, func(t *testing.T) {
			lab, dir := beside(t, program, setup.Proxy)
			t.Setenv(variable, "unix://"+filepath.Join(dir, "vault.sock"))
			client, err := api.NewClient(nil)
			require.NoError(t, err)
			defer client.CloneConfig().HttpClient.CloseIdleConnections()
			// The proxy listens before it has logged in.
			eventually(t, func() bool { _, err := client.Auth().Token().LookupSelf(); return err == nil })

			serve(t, lab, vault.Dynamic(client, "database/creds/app", nil))
			users, err := lab.Users(t.Context())
			require.NoError(t, err)
			require.Empty(t, users, "revoked through the proxy")
		})
	}
}

// serve runs statements while the user changes twice.
func serve(t *testing.T, lab *setup.Lab, src source.Source) {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	db, err := pool.Open(t.Context(), lab.DSN()+"&pool_max_conns=4", src, &pool.Options{Logger: quiet})
	require.NoError(t, err)
	defer db.Close()
	s := &service{db: db}
	require.NoError(t, s.migrate(t.Context()))
	clients := load.Start(t.Context(), 4, func(ctx context.Context) error {
		time.Sleep(10 * time.Millisecond) // think time: nothing waits for it, and others run beside
		return s.statement(ctx)
	})
	eventually(t, func() bool { return db.Refresher().Current().Generation > 2 })
	r := clients.Stop()
	t.Logf("%d statements, %d failed, latency %+v", r.Statements, r.Failed, r.Latency)
	require.NoError(t, r.Err)
	require.Zero(t, r.Failed)
	require.NoError(t, db.Shutdown(t.Context()))
}

// beside runs a program beside a service, in a directory of its own.
func beside(t *testing.T, program, config string) (lab *setup.Lab, dir string) {
	t.Helper()
	brief := lives
	brief.TTL = 15 * time.Second
	brief.MaxTTL = 20 * time.Second // the agent replaces a user only then
	lab, err := setup.Start(t.Context(), brief)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, lab.Close()) })
	dir = t.TempDir()
	for name, text := range map[string]string{"config.hcl": config, "role-id": lab.RoleID, "secret-id": lab.SecretID} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	cmd := exec.Command(vaultProgram(t), program, "-config=config.hcl")
	var log bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &log, &log
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + dir, "VAULT_ADDR=" + lab.Vault.Addr()}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended, which its log says
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return lab, dir
}

// vaultProgram is the one in PATH, or that of the nested module.
func vaultProgram(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("vault"); err == nil {
		return path
	}
	built.once.Do(func() {
		built.path = filepath.Join(built.dir, "vault")
		cmd := exec.Command("go", "build", "-tags=minimal", "-buildvcs=false", "-ldflags=-s -w", buildonce.Quick, "-o", built.path, ".")
		cmd.Dir = "agent"
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
		built.out, built.err = cmd.CombinedOutput()
	})
	require.NoError(t, built.err, "%s\nno vault in PATH, and this failed: go -C examples/vault/agent build -tags minimal .", built.out)
	return built.path
}

// built is Vault's program, made when first asked for.
var built struct {
	dir, path string
	once      sync.Once
	out       []byte
	err       error
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 2*time.Minute, 20*time.Millisecond)
}
