// Package kubernetes keeps the versions of a secret in Secrets of Kubernetes:
//
//	config, err := rest.InClusterConfig()
//	clients, err := kubernetes.NewForConfig(config) // of client-go
//	store := rekeykubernetes.New(clients.CoreV1(), "prod", "orders", nil) // this package
//	r, err := rotate.New(&rotate.Config{Store: store, Target: target})
//
// The Secret that applications read, mounted or as environment, is written once in
// a rotation: promote is one update that changes user name, password and the key
// "rekey_version", which holds the rotation's token. All other keys, labels,
// annotations and owners stay. A second Secret beside it ([Options.Beside]) holds
// an envelope with the pending, the current and the previous version; pods must
// not mount it. Each update names the resourceVersion that it has read, so of two
// processes one is told that something has changed.
//
// Between the two nothing can get lost: which version is current is decided by the
// first Secret alone, and an envelope that is behind it, after a crash, is read
// accordingly. Anybody may write the Secret at any time, with or without the keys
// of a rotation. The store then says so by [rotate.ErrConflict], and that version
// goes by its resourceVersion.
//
// The store makes the second Secret when it needs it, owned by the first: the
// garbage collector removes it when the first is deleted, a pending password with
// it. Where Secrets are replaced by deletion, make the second one beforehand,
// empty and without an owner; the store leaves its owners as they are.
//
// # Rights
//
// For the rotation of the Secret app in the namespace prod:
//
//	apiVersion: rbac.authorization.k8s.io/v1
//	kind: Role
//	metadata: {name: rekey-app, namespace: prod}
//	rules:
//	- apiGroups: [""]
//	  resources: [secrets]
//	  resourceNames: [app, app-rekey]
//	  verbs: [get, update]
//	- apiGroups: [""]
//	  resources: [secrets]
//	  verbs: [create]
//
// Kubernetes cannot restrict create by name: the second rule lets its holder make
// any Secret in the namespace, service account tokens included. To do without
// it, make the Secret app-rekey beforehand, empty:
//
//	kubectl -n prod create secret generic app-rekey
//
// Applications that ask the API need get on app and nothing else. Mind that list
// and watch on Secrets show them all, the envelope included.
//
// # What is checked beforehand
//
// Create has the API server try the update of the Secret first, without doing it
// (a dry run). So what would refuse to promote shows before the database has
// learned of anything: a missing right, an immutable Secret, an admission webhook,
// a key that a Secret cannot have, more than 1 MiB.
//
// # Readers
//
// The kubelet brings a mounted Secret up to date within about a minute; one that
// is mounted by subPath or read as environment stays as it was until the pod
// starts anew. Wait for it before the old version is retired, or let applications
// drain. What writes the Secret from elsewhere must leave these keys alone:
// operators that copy secrets from another store, Helm and GitOps tools put the
// old password back. Updates are made as field manager "rekey", so that those who
// use server-side apply are told of the conflict.
//
// # The client
//
// Address, credentials and retries are those of the client that is passed in. It
// waits as the server says where it is told to slow down (429, Retry-After). Read
// makes three requests, Create seven or eight, Promote and Restore seven to nine: with
// client-go's default of five a second (rest.Config.QPS) they take a second or two.
package kubernetes
