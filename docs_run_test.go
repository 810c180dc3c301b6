package rekey_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/mysqlserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
)

var runnable = regexp.MustCompile("(?s)<!-- run: ([a-z]+) -->\n```sql\n(.*?)\n```")

// sqlOf returns the SQL of a page that is marked as running on a server.
func sqlOf(t *testing.T, page, server string) (blocks []string) {
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	for _, m := range runnable.FindAllStringSubmatch(string(text), -1) {
		if m[1] == server {
			blocks = append(blocks, m[2])
		}
	}
	require.NotEmpty(t, blocks, page)
	return blocks
}

func TestQueriesInPagesRun(t *testing.T) {
	server := pgtest.New(t, nil)
	for _, sql := range sqlOf(t, "docs/choose.md", "postgres") {
		require.NoError(t, server.Exec(t.Context(), sql), sql)
	}
	for _, product := range []mysqlserver.Product{mysqlserver.MariaDB, mysqlserver.MySQL} {
		t.Run(string(product), func(t *testing.T) {
			server, err := mysqlserver.Start(t.Context(), &mysqlserver.Options{Product: product, Own: true})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, server.Close()) })
			admin, err := server.Admin()
			require.NoError(t, err)
			defer admin.Close()
			for _, sql := range sqlOf(t, "docs/choose.md", "mysql") {
				rows, err := admin.QueryContext(t.Context(), sql)
				require.NoError(t, err, sql)
				require.True(t, rows.Next(), sql)
				require.NoError(t, rows.Close())
			}
		})
	}
}

// The guide's program rotates on the database that the guide sets up, and without
// a right that its check asks for it leaves everything as it was.
func TestRotateGuide(t *testing.T) {
	const page = "docs/guides/rotate.md"
	server := pgtest.New(t, nil)
	for _, sql := range sqlOf(t, page, "postgres") {
		require.NoError(t, server.Exec(t.Context(), sql))
	}
	program := ""
	for _, b := range blocksOf(t, page) {
		if strings.HasPrefix(b.code, "package main") {
			program = b.code
		}
	}
	dir := t.TempDir()
	main, secret := filepath.Join(dir, "main.go"), filepath.Join(dir, "db.json")
	require.NoError(t, os.WriteFile(main, []byte(program), 0o600))
	require.NoError(t, os.WriteFile(secret, []byte(`{"username": "app", "password": "one"}`), 0o600))

	run := func() (string, error) {
		cmd := exec.CommandContext(t.Context(), "go", "run", main) // its imports are those of this module
		cmd.Env = append(os.Environ(), "SERVER="+server.AppDSN(), "SECRET="+secret, "PGPASSWORD=of the rotator")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	password := func() string {
		var c struct{ Password string }
		text, err := os.ReadFile(secret)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &c))
		return c.Password
	}

	out, err := run()
	require.NoError(t, err, out)
	require.Contains(t, out, "single user [create approve set verify promote]")
	require.Contains(t, out, "rotated app from ")
	second := password()
	require.NotEqual(t, "one", second)

	require.NoError(t, server.Exec(t.Context(), "revoke usage on sequence orders_id_seq from app"))
	out, err = run()
	require.Error(t, err)
	require.Contains(t, out, "what helps: GRANT usage ON sequence public.orders_id_seq TO app")
	require.Equal(t, second, password())
}
