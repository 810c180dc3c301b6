package crashtest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/rekey-go/rekey/internal/kubeserver"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/kubernetes"
	"github.com/rekey-go/rekey/source"
)

// kube is the API server of all cases.
var kube struct {
	once   sync.Once
	server *kubeserver.Server
	err    error

	mu  sync.Mutex // one reader of the log at a time
	log *os.File   // read up to where it was looked at; nil: the server was given by address
}

func kubeServer(t *testing.T) *kubeserver.Server {
	kube.once.Do(func() {
		kube.server, kube.err = kubeserver.Start(context.Background(), os.Stderr)
		if kube.err == nil && kube.server.Log() != "" {
			kube.log, kube.err = os.Open(kube.server.Log())
		}
	})
	require.NoError(t, kube.err)
	return kube.server
}

func closeKubernetes() (err error) {
	if kube.log != nil {
		err = kube.log.Close()
	}
	if kube.server != nil {
		err = errors.Join(err, kube.server.Close())
	}
	return err
}

// namespace is there from the beginning.
const namespace = "default"

func makeKubernetes(t *testing.T, first source.Credential) place {
	s := kubeServer(t)
	p := place{"addr": s.Addr(), "token": s.Token(), "ca": string(s.CA())}
	api, err := kubeAPI(p, nil)
	require.NoError(t, err)
	secret := &core.Secret{ObjectMeta: meta.ObjectMeta{GenerateName: "app-"}, StringData: map[string]string{}}
	for key, value := range document(first) {
		secret.StringData[key] = value.(string)
	}
	secret, err = api.Secrets(namespace).Create(t.Context(), secret, meta.CreateOptions{})
	require.NoError(t, err)
	p["name"] = secret.Name
	t.Cleanup(func() { // and the envelope with it
		require.NoError(t, api.Secrets(namespace).Delete(context.Background(), secret.Name, meta.DeleteOptions{}))
	})
	return p
}

func openKubernetes(p place, in *injector) (rotate.Store, error) {
	api, err := kubeAPI(p, in)
	if err != nil {
		return nil, err
	}
	return kubernetes.New(api, namespace, p["name"], nil), nil
}

// kubeAPI waits between requests as long as the server says, and not longer.
func kubeAPI(p place, in *injector) (*corev1.CoreV1Client, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(p["ca"])) {
		return nil, errors.New("no authority for the API server")
	}
	return corev1.NewForConfig(&rest.Config{Host: p["addr"], BearerToken: p["token"], QPS: -1, Transport: carrierTo(&tls.Config{RootCAs: roots}, in)})
}

func seenByKubernetes(t *testing.T) string {
	kube.mu.Lock()
	defer kube.mu.Unlock()
	if kube.log == nil {
		return ""
	}
	text, err := io.ReadAll(kube.log)
	require.NoError(t, err)
	return string(text)
}
