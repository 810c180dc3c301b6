// This is rotate-job with a store more: Secrets of the cluster that it runs in. It
// is a module of its own, as the client of Kubernetes is heavy.
//
//	store: {kubernetes: {namespace: shop, name: orders}}
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/rekey-go/rekey/examples/rotate-job/job"
	"github.com/rekey-go/rekey/rotate"
	store "github.com/rekey-go/rekey/rotate/kubernetes"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	j := &job.Job{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Stores: map[string]job.OpenStore{"kubernetes": open},
	}
	code := j.Run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// open uses the service account of the pod.
func open(_ context.Context, decode func(any) error) (rotate.Store, error) {
	var c struct {
		Namespace string `yaml:"namespace"`
		Name      string `yaml:"name"`
	}
	if err := decode(&c); err != nil {
		return nil, err
	}
	config, err := rest.InClusterConfig()
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return store.New(client.CoreV1(), c.Namespace, c.Name, nil), nil
}
