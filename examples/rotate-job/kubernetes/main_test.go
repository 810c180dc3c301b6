package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/examples/rotate-job/job"
)

// The configuration knows the store, and outside of a cluster the secret is told
// apart as one that cannot be reached.
func TestOutsideOfACluster(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rotate-job.yaml")
	for text, want := range map[string]int{
		"{kubernetes: {namespace: shop, name: orders}}": job.Failed,
		"{kubernetes: {namspace: shop}}":                job.Usage,
	} {
		require.NoError(t, os.WriteFile(path, []byte(`secrets:
- name: orders
  store: `+text+`
  target: {postgres: {strategy: single user, login: "postgres://db/orders", admin: {env: ADMIN}}}
  lifetime: 1h
`), 0o600))
		var out, errs bytes.Buffer
		j := &job.Job{Stdout: &out, Stderr: &errs, Stores: map[string]job.OpenStore{"kubernetes": open}}
		require.Equal(t, want, j.Run(t.Context(), []string{"status", "-config", path}), "%s %s", &out, &errs)
		if want == job.Failed {
			require.Contains(t, out.String(), "in-cluster")
		}
	}
}
