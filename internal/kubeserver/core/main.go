// Command core is a small Kubernetes control plane for tests: the real
// kube-apiserver with its admission and RBAC, on a real etcd in the same process,
// and the real garbage collector for Secrets. There are no nodes, and no other
// controllers. It lives in a module of its own because Kubernetes brings two
// thousand packages.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"k8s.io/client-go/rest"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

func main() {
	dir := flag.String("dir", "", "`directory` with ca.crt, tls.crt, tls.key and token, the administrator's; address is written there, and all data")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := serve(ctx, *dir)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve runs until the context ends.
func serve(ctx context.Context, dir string) error {
	if dir == "" {
		return errors.New("-dir is missing")
	}
	token, err := os.ReadFile(filepath.Join(dir, "token"))
	if err != nil {
		return err
	}
	storage, err := startEtcd(ctx, filepath.Join(dir, "etcd"))
	if err != nil {
		return err
	}
	defer storage.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	opts, err := configure(ctx, dir, strings.TrimSpace(string(token)), storage.Clients[0].Addr().String(), listener)
	if err != nil {
		return err
	}
	admin := &rest.Config{
		Host: "https://" + listener.Addr().String(), BearerToken: strings.TrimSpace(string(token)), QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{CAFile: filepath.Join(dir, "ca.crt")},
	}
	ctx, cancel := context.WithCancel(ctx)
	collected := make(chan error, 1)
	go func() { collected <- collectGarbage(ctx, admin, filepath.Join(dir, "address")) }()
	err = app.Run(ctx, opts)
	cancel()
	return errors.Join(err, <-collected)
}

// configure says how the API server runs: as far as it can, by default.
func configure(ctx context.Context, dir, token, etcd string, listener net.Listener) (options.CompletedOptions, error) {
	// The administrator is of the group that RBAC lets do everything.
	users := filepath.Join(dir, "users.csv")
	if err := os.WriteFile(users, []byte(token+`,admin,admin,"system:masters"`+"\n"), 0o600); err != nil {
		return options.CompletedOptions{}, err
	}
	o := options.NewServerRunOptions()
	address := listener.Addr().(*net.TCPAddr)
	o.SecureServing.Listener, o.SecureServing.BindPort, o.SecureServing.ExternalAddress = listener, address.Port, address.IP
	o.SecureServing.ServerCert.CertKey.CertFile = filepath.Join(dir, "tls.crt")
	o.SecureServing.ServerCert.CertKey.KeyFile = filepath.Join(dir, "tls.key")
	o.Etcd.StorageConfig.Transport.ServerList = []string{"http://" + etcd}
	o.Authorization.Modes = []string{"RBAC"}
	o.Authentication.TokenFile.TokenFile = users
	o.Authentication.ServiceAccounts.Issuers = []string{"https://kubernetes.default.svc"}
	o.Authentication.ServiceAccounts.KeyFiles = []string{filepath.Join(dir, "tls.crt")}
	o.ServiceAccountSigningKeyFile = filepath.Join(dir, "tls.key")
	o.ServiceClusterIPRanges = "10.0.0.0/16"
	o.EndpointReconcilerType = "none"
	// Stricter than the default, as some distributions are.
	o.Admission.GenericAdmission.EnablePlugins = []string{"OwnerReferencesPermissionEnforcement"}
	if err := o.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return options.CompletedOptions{}, err
	}
	completed, err := o.Complete(ctx)
	if err != nil {
		return completed, err
	}
	return completed, errors.Join(completed.Validate()...)
}
