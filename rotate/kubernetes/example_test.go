package kubernetes_test

import (
	"context"
	"fmt"
	"log"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/rekey-go/rekey/rotate/kubernetes"
	"github.com/rekey-go/rekey/source"
)

// exampleConfig names a throwaway API server with the Secret "app"; in a pod it is
// rest.InClusterConfig.
func exampleConfig(ctx context.Context) *rest.Config {
	s, err := server()
	if err != nil {
		log.Fatal(err)
	}
	config := &rest.Config{Host: s.Addr(), BearerToken: s.Token(), TLSClientConfig: rest.TLSClientConfig{CAData: s.CA()}}
	client, err := corev1.NewForConfig(config)
	if err != nil {
		log.Fatal(err)
	}
	_, err = client.Secrets("default").Create(ctx, &core.Secret{
		ObjectMeta: meta.ObjectMeta{Name: "app"},
		StringData: map[string]string{"username": "app", "password": "s3cret", "host": "db.internal"},
	}, meta.CreateOptions{})
	if err != nil {
		log.Fatal(err)
	}
	return config
}

func ExampleNew() {
	ctx := context.Background()
	client, err := corev1.NewForConfig(exampleConfig(ctx))
	if err != nil {
		log.Fatal(err)
	}
	store := kubernetes.New(client, "default", "app", nil)

	// What a rotator does, here by hand.
	state, err := store.Read(ctx)
	if err != nil {
		log.Fatal(err)
	}
	from, to := state.Current.Token, "0b1f3f0e-9d0c-4d53-8d43-6d2f5f8f7a11" // a rotator draws it
	next := source.Credential{Username: "app", Password: source.NewSecret("n3xt")}
	if err := store.Create(ctx, to, next); err != nil {
		log.Fatal(err)
	}
	// Here the database learns of it.
	if err := store.Promote(ctx, to, from); err != nil {
		log.Fatal(err)
	}
	state, err = store.Read(ctx)
	host, _ := state.Current.Credential.Field("host")
	fmt.Println(state.Current.Credential.Password.Reveal(), host.Reveal(), state.Previous.Token == from, err)
	// Output: n3xt db.internal true <nil>
}
