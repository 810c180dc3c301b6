package kubernetes_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	admission "k8s.io/api/admissionregistration/v1"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	client "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/kubernetes"
	"github.com/rekey-go/rekey/source"
)

// everything of an error that a log could hold.
func everything(err error) string { return fmt.Sprintf("%v %+v %#v %#v", err, err, err, asError(err)) }

func asError(err error) (e kubernetes.Error) {
	if found := new(kubernetes.Error); errors.As(err, &found) {
		return *found
	}
	return e
}

func TestMistakes(t *testing.T) {
	b := newBench(t)
	yes := true
	b.create("frozen", secret("app", canary), func(s *core.Secret) { s.Immutable = &yes })
	b.create("odd", secret("app", canary))
	b.create("odd-rekey", map[string][]byte{"envelope": []byte(`{"pending":"` + canary)})
	b.create("other", secret("app", canary))
	b.create("other-rekey", map[string][]byte{"envelope": []byte(`{"pending":"` + canary + `"}`)})
	full := secret("app", canary)
	full["rest"] = []byte(strings.Repeat("x", 1<<20-200))
	b.create("full", full)
	binary := secret("app", canary)
	binary["password"] = []byte{0xff, 'c', 'a', 'n', 'a', 'r', 'y'}
	b.create("binary", binary)
	admin := b.admin.CoreV1()
	rule := func(verb string, names ...string) rbac.PolicyRule {
		return rbac.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: names, Verbs: []string{verb}}
	}
	may := func(rules ...rbac.PolicyRule) *client.Clientset { return b.client(b.allow(rules...), nil) }
	read := rule("get", "app", "app-rekey")
	field := func(name, value string) source.Credential {
		return next("canary-second").WithFields(map[string]source.Secret{name: source.NewSecret(value)})
	}
	ns := b.namespace

	for _, c := range []struct {
		name  string
		store rotate.Store
		next  source.Credential
		kind  kubernetes.Kind // "": not an Error
		says  string
	}{
		{"no client", kubernetes.New(nil, ns, "app", nil), next("canary-second"), "", "client is nil"},
		{"no namespace", kubernetes.New(admin, "", "app", nil), next("canary-second"), "", "cannot be a namespace"},
		{"a path", kubernetes.New(admin, ns, "../app", nil), next("canary-second"), "", "cannot be the name of a Secret"},
		{"both in one", kubernetes.New(admin, ns, "app", &kubernetes.Options{Beside: "app"}), next("canary-second"), "", "another Secret"},
		{"both under one key", kubernetes.New(admin, ns, "app", &kubernetes.Options{UsernameField: "password"}), next("canary-second"), "", "both user name and password"},
		{"no key", kubernetes.New(admin, ns, "app", &kubernetes.Options{PasswordField: "a b"}), next("canary-second"), "", "cannot be a key"},
		{"our own key", kubernetes.New(admin, ns, "app", &kubernetes.Options{PasswordField: "rekey_version"}), next("canary-second"), "", "store's own"},
		{"no secret", kubernetes.New(admin, ns, "nothing", nil), next("canary-second"), kubernetes.NotFound, "no such Secret"},
		{"another namespace", kubernetes.New(admin, "nowhere", "app", nil), next("canary-second"), kubernetes.NotFound, "secret nowhere/app"},
		{"another field", kubernetes.New(admin, ns, "app", &kubernetes.Options{PasswordField: "pw"}), next("canary-second"), "", `field "pw"`},
		{"immutable", kubernetes.New(admin, ns, "frozen", nil), next("canary-second"), kubernetes.Refused, "immutable"},
		{"a cut envelope", kubernetes.New(admin, ns, "odd", nil), next("canary-second"), "", "did something else write here"},
		{"another envelope", kubernetes.New(admin, ns, "other", nil), next("canary-second"), "", "did something else write here"},
		{"a full Secret", kubernetes.New(admin, ns, "full", nil), next(strings.Repeat("canary", 100)), kubernetes.Refused, "1048576"},
		{"a binary password", kubernetes.New(admin, ns, "binary", nil), next("canary-second"), "", "not valid UTF-8"},
		{"a binary field", kubernetes.New(admin, ns, "app", nil), field("new.der", "canary\xff"), "", `"new.der" is not valid UTF-8`},
		{"in place of a binary field", kubernetes.New(admin, ns, "app", nil), field("key.der", "canary"), "", `"key.der" is not valid UTF-8`},
		{"a field that cannot be a key", kubernetes.New(admin, ns, "app", nil), field("a b", "canary"), kubernetes.Refused, "a b"},
		{"an unknown identity", kubernetes.New(b.client("canary-token", nil).CoreV1(), ns, "app", nil), next("canary-second"), kubernetes.Permission, "does not accept the client's"},
		{"no right to read", kubernetes.New(may(rule("get", "app")).CoreV1(), ns, "odd", nil), next("canary-second"), kubernetes.Permission, `verb "get" on resource "secrets" with resourceName "odd"`},
		{"no right to update", kubernetes.New(may(read, rule("create")).CoreV1(), ns, "app", nil), next("canary-second"), kubernetes.Permission, `verb "update" on resource "secrets" with resourceName "app"`},
		{"no right to create", kubernetes.New(may(read, rule("update", "app", "app-rekey")).CoreV1(), ns, "app", nil), next("canary-second"), kubernetes.Permission, "make the Secret app-rekey beforehand"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.store.Create(t.Context(), "one", c.next)
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, everything(err), "canary")
			require.True(t, source.IsPermanent(err))
			require.Equal(t, c.kind, asError(err).Kind)
		})
	}
	for _, call := range []func(s *kubernetes.Store) error{
		func(s *kubernetes.Store) error { _, err := s.Read(t.Context()); return err },
		func(s *kubernetes.Store) error { _, err := s.History(t.Context()); return err },
		func(s *kubernetes.Store) error { return s.Promote(t.Context(), "a", "b") },
		func(s *kubernetes.Store) error { return s.Discard(t.Context(), "a") },
		func(s *kubernetes.Store) error { return s.Restore(t.Context(), "a", "b") },
	} {
		require.ErrorContains(t, call(kubernetes.New(nil, ns, "app", nil)), "client is nil")
	}
}

// A policy of the cluster that refuses to promote shows before anything is pending,
// and what it quotes is not shown.
func TestPolicyRefuses(t *testing.T) {
	b := newBench(t)
	s, _ := b.store()
	b.create("app-rekey", nil)
	edited := b.get("app")
	edited.Data["username"] = []byte("somebody")
	policies := b.admin.AdmissionregistrationV1()
	name := meta.ObjectMeta{Name: b.namespace}
	_, err := policies.ValidatingAdmissionPolicies().Create(t.Context(), &admission.ValidatingAdmissionPolicy{
		ObjectMeta: name,
		Spec: admission.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admission.MatchResources{ResourceRules: []admission.NamedRuleWithOperations{{
				ResourceNames: []string{"app", "app-rekey"},
				RuleWithOperations: admission.RuleWithOperations{
					Operations: []admission.OperationType{admission.Update},
					Rule:       admission.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"secrets"}},
				},
			}}},
			Validations: []admission.Validation{{
				Expression:        `object.metadata.name != "app" || object.data.username == "YXBw"`,
				MessageExpression: `object.data.username == "cXVvdGVk" ? "you sent " + object.data.password : "nobody but app"`,
			}, {
				Expression:        `object.metadata.name == "app" || !has(object.data)`,
				MessageExpression: `"you sent canary-third among " + object.data.envelope`,
			}},
		},
	}, meta.CreateOptions{})
	require.NoError(t, err)
	_, err = policies.ValidatingAdmissionPolicyBindings().Create(t.Context(), &admission.ValidatingAdmissionPolicyBinding{
		ObjectMeta: name,
		Spec: admission.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name.Name, ValidationActions: []admission.ValidationAction{admission.Deny},
			MatchResources: &admission.MatchResources{NamespaceSelector: &meta.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": b.namespace}}},
		},
	}, meta.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		require.NoError(t, policies.ValidatingAdmissionPolicyBindings().Delete(ctx, name.Name, meta.DeleteOptions{}))
		require.NoError(t, policies.ValidatingAdmissionPolicies().Delete(ctx, name.Name, meta.DeleteOptions{}))
	})
	require.Eventually(t, func() bool { // the server learns of it by a watch
		_, err := b.admin.CoreV1().Secrets(b.namespace).Update(t.Context(), edited, meta.UpdateOptions{DryRun: []string{meta.DryRunAll}})
		return err != nil
	}, patience, 50*time.Millisecond)
	err = s.Create(t.Context(), "one", next("canary-second"))
	require.ErrorContains(t, err, "nobody but app")
	require.Equal(t, kubernetes.Refused, asError(err).Kind)
	require.True(t, source.IsPermanent(err))

	quoted := next("canary-second")
	quoted.Username = "quoted"
	err = s.Create(t.Context(), "one", quoted)
	require.ErrorContains(t, err, "quotes a value")
	require.NotContains(t, everything(err), "canary")
	require.NotContains(t, everything(err), "Y2FuYXJ5LXNlY29uZA==")

	// It has nothing against this one, but against the envelope.
	own := next("canary-third")
	own.Username = "app"
	err = s.Create(t.Context(), "one", own)
	require.ErrorContains(t, err, "quotes a value")
	require.ErrorContains(t, err, "app-rekey")
	require.NotContains(t, everything(err), "canary")
	st, err := s.Read(t.Context())
	require.NoError(t, err)
	require.Nil(t, st.Pending)
}

// answers stand in for the server.
type answers struct {
	status int
	header http.Header
	body   string
	err    error
	next   http.RoundTripper // after one answer; nil: never
	asked  int
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	a.asked++
	if r.Body != nil {
		r.Body.Close() //nolint:errcheck // never read
	}
	if a.next != nil && a.asked > 1 {
		return a.next.RoundTrip(r)
	}
	if a.err != nil {
		return nil, a.err
	}
	h := a.header.Clone()
	if h == nil {
		h = http.Header{"Content-Type": {"text/plain"}}
	}
	return &http.Response{StatusCode: a.status, Header: h, Body: io.NopCloser(strings.NewReader(a.body)), Request: r}, nil
}

// An answer of something that is not the API server may hold anything.
func TestForeignAnswers(t *testing.T) {
	ours := func(status int, reason meta.StatusReason, more string) string {
		return fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","message":"it says so","reason":%q,"code":%d%s}`, reason, status, more)
	}
	object := http.Header{"Content-Type": {"application/json"}}
	now := http.Header{"Content-Type": {"application/json"}, "Retry-After": {"0"}}
	for name, c := range map[string]struct {
		answer    answers
		kind      kubernetes.Kind
		permanent bool
		after     time.Duration
	}{
		"a page":           {answers{status: 200, body: "<html>" + canary}, kubernetes.Malformed, false, 0},
		"another object":   {answers{status: 200, header: object, body: `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"` + canary + `"}}`}, kubernetes.Malformed, false, 0},
		"an empty object":  {answers{status: 200, header: object, body: `{"kind":"Secret","apiVersion":"v1","data":{"password":"Y2FuYXJ5"}}`}, kubernetes.Malformed, false, 0},
		"not base64":       {answers{status: 200, header: object, body: `{"kind":"Secret","apiVersion":"v1","data":{"password":"` + canary + `"}}`}, kubernetes.Malformed, false, 0},
		"a teapot":         {answers{status: 418, body: "you sent " + canary}, kubernetes.Malformed, false, 0},
		"a foreign 403":    {answers{status: 403, body: "you sent " + canary}, kubernetes.Malformed, false, 0},
		"a foreign 404":    {answers{status: 404, body: "you sent " + canary}, kubernetes.Malformed, false, 0},
		"a gateway":        {answers{status: 502, body: "you sent " + canary}, kubernetes.Unavailable, false, 0},
		"cut":              {answers{err: io.ErrUnexpectedEOF}, kubernetes.Unavailable, false, 0},
		"a server's own":   {answers{status: 500, header: object, body: ours(500, meta.StatusReasonInternalError, "")}, kubernetes.Unavailable, false, 0},
		"a server's limit": {answers{status: 429, header: now, body: ours(429, meta.StatusReasonTooManyRequests, `,"details":{"retryAfterSeconds":7}`)}, kubernetes.Throttled, false, 7 * time.Second},
		"a foreign limit":  {answers{status: 429, header: http.Header{"Retry-After": {"0"}, "Content-Type": {"text/plain"}}, body: canary}, kubernetes.Throttled, false, 0},
		"a right missing":  {answers{status: 403, header: object, body: ours(403, meta.StatusReasonForbidden, "")}, kubernetes.Permission, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			cs, err := client.NewForConfig(&rest.Config{Host: "https://127.0.0.1:1", QPS: -1, Transport: &c.answer})
			require.NoError(t, err)
			_, err = kubernetes.New(cs.CoreV1(), "prod", "app", nil).Read(t.Context())
			e := asError(err)
			require.Equal(t, c.kind, e.Kind, err)
			require.Equal(t, c.permanent, source.IsPermanent(err))
			require.Equal(t, c.after, e.RetryAfter)
			require.NotContains(t, everything(err), "canary")
			require.NotContains(t, everything(err), "Y2FuYXJ5")
			require.ErrorContains(t, err, "kubernetes: get secret prod/app")
			if c.permanent {
				require.True(t, apierrors.IsForbidden(err), "the server's own error is inside")
			}
		})
	}
}

// A server that asks for patience once is waited for.
func TestThrottledOnce(t *testing.T) {
	b := newBench(t)
	token := b.allow(documented(t)...)
	limit := &answers{status: 429, header: http.Header{"Retry-After": {"1"}}, body: "slow down"}
	wire := newWire()
	c := b.client(token, wire)
	limit.next, wire.Next = wire.Next, limit
	begun := time.Now()
	_, err := kubernetes.New(c.CoreV1(), b.namespace, "app", nil).Read(t.Context())
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(begun), time.Second)
	require.Equal(t, 4, limit.asked)
}
