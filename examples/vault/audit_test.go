package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/examples/vault/setup"
)

// What Vault says of its leases and what the database says of its users are the
// same, and each user's name tells its lease.
func TestAudit(t *testing.T) {
	lab, err := setup.Start(t.Context(), setup.Options{TTL: time.Hour, MaxTTL: 24 * time.Hour, TokenTTL: time.Hour, TokenMaxTTL: time.Hour})
	require.NoError(t, err)
	defer func() { require.NoError(t, lab.Close()) }()
	auditor := tokenFor(t, lab, "audit/policy.hcl")
	require.Empty(t, leases(t, lab, auditor), "nobody has asked for a user")

	var names []string
	for range 3 {
		res, err := lab.Vault.Do(t.Context(), "GET", setup.Path, nil)
		require.NoError(t, err)
		names = append(names, res.Data["username"].(string))
		if len(names) == 1 {
			config, err := pgx.ParseConfig(lab.DSN() + "&application_name=orders")
			require.NoError(t, err)
			config.User, config.Password = names[0], res.Data["password"].(string)
			conn, err := pgx.ConnectConfig(t.Context(), config)
			require.NoError(t, err)
			defer conn.Close(t.Context())
		}
	}

	out := leases(t, lab, auditor)
	require.True(t, strings.HasPrefix(out, "app 3\n"), out)
	found := regexp.MustCompile(`(?m)^  database/creds/app/\w+ issued (\S+) ends (\S+)$`).FindAllStringSubmatch(out, -1)
	require.Len(t, found, 3, out)

	seen := users(t, lab)
	require.Len(t, seen, 3)
	for _, u := range seen {
		require.Contains(t, names, u.Name)
		require.Equal(t, "app", u.Role)
		if u.Name == names[0] {
			require.EqualValues(t, 1, u.Sessions)
			require.Equal(t, "orders", u.Applications)
			require.NotNil(t, u.Oldest)
		} else {
			require.Zero(t, u.Sessions)
		}
		require.True(t, func() bool {
			for _, lease := range found {
				issued, ends := at(t, lease[1]), at(t, lease[2])
				// Vault makes the name, then the user, then the lease, and adds 5 s to its end.
				if near(u.Issued, issued, 2*time.Second) && near(u.ValidUntil, ends.Add(5*time.Second), 2*time.Second) {
					return true
				}
			}
			return false
		}(), "no lease for %+v in\n%s", u, out)
	}
}

// A row of users.sql.
type userRow struct {
	Name, Role         string
	Issued, ValidUntil time.Time
	Sessions           int64
	Oldest             *time.Time
	Applications       string
}

func users(t *testing.T, lab *setup.Lab) (all []userRow) {
	t.Helper()
	query, err := os.ReadFile("audit/users.sql")
	require.NoError(t, err)
	require.NoError(t, lab.Postgres.Do(t.Context(), func(conn *pgx.Conn) error {
		rows, err := conn.Query(t.Context(), string(query))
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, pgx.RowToStructByPos[userRow])
		return err
	}))
	return all
}

func leases(t *testing.T, lab *setup.Lab, token string) string {
	t.Helper()
	cmd := exec.Command("audit/leases.sh")
	cmd.Env = []string{
		"PATH=" + filepath.Dir(vaultProgram(t)) + ":/usr/bin:/bin", "HOME=" + t.TempDir(),
		"VAULT_ADDR=" + lab.Vault.Addr(), "VAULT_TOKEN=" + token,
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s", &stderr)
	require.Empty(t, stderr.String())
	return string(out)
}

// tokenFor makes a token that may do what a file says and nothing else.
func tokenFor(t *testing.T, lab *setup.Lab, file string) string {
	t.Helper()
	policy, err := os.ReadFile(file)
	require.NoError(t, err)
	_, err = lab.Vault.Do(t.Context(), "PUT", "sys/policies/acl/audit", map[string]any{"policy": string(policy)})
	require.NoError(t, err)
	res, err := lab.Vault.Do(t.Context(), "PUT", "auth/token/create-orphan", map[string]any{"policies": []string{"audit"}, "no_default_policy": true})
	require.NoError(t, err)
	return res.Auth.ClientToken
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339Nano, text)
	require.NoError(t, err)
	return when
}

func near(a, b time.Time, d time.Duration) bool { return a.Sub(b).Abs() <= d }
