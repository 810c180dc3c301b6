package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/examples/vault/setup"
)

// The script that the README shows comes to the same as what the example does.
func TestScript(t *testing.T) {
	t.Parallel()
	ours, err := setup.Start(t.Context(), setup.Options{TTL: time.Hour, MaxTTL: 24 * time.Hour, TokenTTL: time.Hour, TokenMaxTTL: 24 * time.Hour})
	require.NoError(t, err)
	defer func() { require.NoError(t, ours.Close()) }()
	lab, password, err := setup.Servers(t.Context(), os.Stderr)
	require.NoError(t, err)
	defer func() { require.NoError(t, lab.Close()) }()

	cmd := exec.Command("setup/setup.sh")
	cmd.Env = []string{
		"PATH=" + filepath.Dir(vaultProgram(t)) + ":/usr/bin:/bin", "HOME=" + t.TempDir(),
		"VAULT_ADDR=" + lab.Vault.Addr(), "VAULT_TOKEN=" + lab.Vault.RootToken(),
		"DATABASE=" + strings.TrimPrefix(lab.DSN(), "postgres://"), "PASSWORD=" + password,
	}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)

	for _, path := range []string{"database/config/app", "database/roles/app", "sys/policies/acl/app", "auth/approle/role/app"} {
		require.Equal(t, settings(t, ours, path), settings(t, lab, path), path)
	}
	res, err := lab.Vault.Do(t.Context(), "GET", setup.Path, nil)
	require.NoError(t, err)
	require.Equal(t, 3600, res.LeaseDuration)
}

// settings are what Vault has at a path, but for what differs with the server.
func settings(t *testing.T, lab *setup.Lab, path string) map[string]any {
	t.Helper()
	res, err := lab.Vault.Do(t.Context(), "GET", path, nil)
	require.NoError(t, err)
	if details, ok := res.Data["connection_details"].(map[string]any); ok {
		require.Contains(t, details["connection_url"], "{{password}}")
		delete(details, "connection_url")
	}
	return res.Data
}

// The README shows the files as they are.
func TestReadmeShowsTheFiles(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	files, err := filepath.Glob("setup/*")
	require.NoError(t, err)
	shown := 0
	for _, name := range append(files, "service.go") {
		if strings.HasSuffix(name, ".go") && name != "service.go" {
			continue
		}
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Contains(t, string(readme), "("+name+")", "a link")
		if name != "service.go" {
			require.Contains(t, string(readme), "\n"+string(text)+"```\n", name)
			shown++
		}
	}
	require.Equal(t, 8, shown)
}
