package kubernetes_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	client "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/rekey-go/rekey/rotate/kubernetes"
	"github.com/rekey-go/rekey/source"
)

// Whatever lies in the two Secrets, it is read or it is a mistake of one field, and
// no error shows it.
func FuzzRead(f *testing.F) {
	for _, envelope := range []string{
		"", " ", "null", "{}", "[]", "{} {}", `{"pending":null}`, `{"pending":{}}`,
		`{"pending":{"token":"one","password":"canary-second"}}`,
		`{"current":{"token":"1","username":"app","password":"canary-first","created":"2026-01-02T03:04:05Z"},"rotatedAt":"2026-01-02T03:04:05Z"}`,
		`{"current":{"token":"1","password":"canary"},"previous":{"token":"0","password":"canary","fields":{"host":"canary"}},"history":[{"token":"1","since":"x"}]}`,
	} {
		f.Add("app", []byte("canary-first"), []byte(envelope))
	}
	f.Add("app", []byte{0xff}, []byte("{}"))
	f.Fuzz(func(t *testing.T, username string, password, envelope []byte) {
		cs, err := client.NewForConfig(&rest.Config{Host: "https://127.0.0.1:1", QPS: -1, Transport: held{
			"app":       {"username": []byte(username), "password": password},
			"app-rekey": {"envelope": envelope},
		}})
		require.NoError(t, err)
		st, err := kubernetes.New(cs.CoreV1(), "prod", "app", nil).Read(t.Context())
		if err != nil {
			require.ErrorAs(t, err, new(*source.FieldError))
			require.NotContains(t, everything(err), "canary")
			return
		}
		require.Equal(t, string(password), st.Current.Credential.Password.Reveal())
		require.NotEmpty(t, st.Current.Token)
	})
}

// held answers with Secrets.
type held map[string]map[string][]byte

func (h held) RoundTrip(r *http.Request) (*http.Response, error) {
	name := r.URL.Path[len("/api/v1/namespaces/prod/secrets/"):]
	body, err := json.Marshal(&core.Secret{
		TypeMeta:   meta.TypeMeta{Kind: "Secret", APIVersion: "v1"},
		ObjectMeta: meta.ObjectMeta{Name: name, Namespace: "prod", ResourceVersion: "7"},
		Data:       h[name],
	})
	if err != nil {
		return nil, err
	}
	return (&answers{status: http.StatusOK, header: http.Header{"Content-Type": {"application/json"}}, body: string(body)}).RoundTrip(r)
}
