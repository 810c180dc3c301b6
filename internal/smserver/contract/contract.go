// Package contract is what AWS Secrets Manager documents, as checks that are
// spoken through the real SDK to an emulation of it.
//
// A check does something and writes down in a line what it saw; the documented
// line stands beside it. An emulation that is known to see something else has a
// Difference for that check, which says what and why, and which fails as soon as
// it is not true any more.
package contract

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/stretchr/testify/require"
)

// Differences are those of an emulation, by the name of the check.
type Differences map[string]Difference

// A Difference is what an emulation does in place of what is documented.
type Difference struct {
	Sees string // the whole line
	Why  string
}

// A check is one documented rule.
type check struct {
	name string
	want string
	see  func(c *caller) string
}

// Run holds a server against the documentation, but for the differences that
// are known. Each check uses a secret of its own.
func Run(t *testing.T, client *secretsmanager.Client, known Differences) {
	all := slices.Concat(reading, writing, staging, listing, deleting, rotating)
	names := map[string]bool{}
	for _, k := range all {
		require.False(t, names[k.name], "two checks are named %q", k.name)
		names[k.name] = true
		t.Run(k.name, func(t *testing.T) {
			saw := k.see(newCaller(t, client))
			d, differs := known[k.name]
			switch {
			case !differs:
				require.Equal(t, k.want, saw, "documented and seen")
			case saw == k.want:
				t.Errorf("it does as documented now (%q): remove the difference %q", saw, k.name)
			default:
				require.Equal(t, d.Sees, saw, "the known difference and what is seen; documented is %q", k.want)
				require.NotEmpty(t, d.Why)
			}
		})
	}
	for name := range maps.Keys(known) {
		if !names[name] {
			t.Errorf("there is a difference %q, but no such check", name)
		}
	}
	require.GreaterOrEqual(t, len(all), 40)
}

// A caller makes the requests of one check and names secrets and versions in
// what it saw: s for the secret, v1, v2 … for the versions.
type caller struct {
	t      testing.TB
	ctx    context.Context
	client *secretsmanager.Client
	name   string
	arn    string // of the secret once it is created
	prefix string // of version IDs
}

func newCaller(t testing.TB, client *secretsmanager.Client) *caller {
	unique := strings.ToLower(rand.Text())
	return &caller{t: t, ctx: t.Context(), client: client, name: "contract/" + unique + ".s", prefix: unique + "-token-"}
}

// v is the ID of the n-th version.
func (c *caller) v(n int) *string {
	id := fmt.Sprintf("%s%03d", c.prefix, n)
	return &id
}

// alias is the opposite of v.
func (c *caller) alias(id string) string {
	var n int
	if rest, ok := strings.CutPrefix(id, c.prefix); ok {
		if _, err := fmt.Sscanf(rest, "%d", &n); err == nil {
			return fmt.Sprintf("v%d", n)
		}
	}
	return id
}

// failure is the error's name, or what is said otherwise if there is none. No
// answer at all fails the test: it proves nothing.
func (c *caller) failure(err error, otherwise string) string {
	c.t.Helper()
	if err == nil {
		return otherwise
	}
	return c.code(err)
}

func (c *caller) code(err error) string {
	c.t.Helper()
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return fmt.Sprint("status ", c.status(err))
}

func (c *caller) status(err error) int {
	c.t.Helper()
	var res *smithyhttp.ResponseError
	require.True(c.t, errors.As(err, &res), "no answer: %v", err)
	return res.HTTPStatusCode()
}

// must is for what a check builds on.
func (c *caller) must(err error) {
	c.t.Helper()
	require.NoError(c.t, err)
}

func line(saw ...string) string { return strings.Join(saw, " | ") }

// stages writes down labels by version: v1=A,B v2=C.
func (c *caller) stages(all map[string][]string) string {
	var parts []string
	for id, labels := range all {
		parts = append(parts, c.alias(id)+"="+strings.Join(slices.Sorted(slices.Values(labels)), ","))
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}
