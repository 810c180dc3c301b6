package main

import (
	"context"
	"net/url"
	"os"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
)

// collectGarbage removes Secrets whose owners are gone, until the context ends.
// Once the server is ready and everything is under way, it writes its address.
func collectGarbage(ctx context.Context, config *rest.Config, address string) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	if err := ready(ctx, client.Discovery().RESTClient()); err != nil {
		return nil //nolint:nilerr // the server has ended and says why
	}
	meta, err := metadata.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informerfactory.NewInformerFactory(informers.NewSharedInformerFactory(client, 0), metadatainformer.NewSharedInformerFactory(meta, 0))
	started := make(chan struct{})
	close(started)
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery()))
	collector, err := garbagecollector.NewGarbageCollector(ctx, client, meta, mapper, garbagecollector.DefaultIgnoredResources(), factory, started)
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() { collector.Run(ctx, 1, time.Minute) })
	all.Go(func() { collector.Sync(ctx, secretsOnly{client.Discovery()}, time.Minute) })
	u, err := url.Parse(config.Host)
	if err != nil {
		return err
	}
	part := address + ".part"
	if err := os.WriteFile(part, []byte(u.Host), 0o600); err != nil {
		return err
	}
	return os.Rename(part, address)
}

// ready waits until the server says that it is.
func ready(ctx context.Context, client rest.Interface) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for client.Get().AbsPath("/readyz").Do(ctx).Error() != nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// secretsOnly keeps the collector from watching everything there is.
type secretsOnly struct {
	discovery.ServerResourcesInterface
}

func (secretsOnly) ServerPreferredResources() ([]*metav1.APIResourceList, error) {
	return []*metav1.APIResourceList{{GroupVersion: "v1", APIResources: []metav1.APIResource{
		{Name: "secrets", Kind: "Secret", Namespaced: true, Verbs: metav1.Verbs{"get", "list", "watch", "delete"}},
	}}}, nil
}
