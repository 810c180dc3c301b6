package kubernetes_test

import (
	"testing"

	"github.com/rekey-go/rekey/rotate/rotatetest"
)

func TestConformance(t *testing.T) {
	rotatetest.Store(t, func(t *testing.T) rotatetest.StoreHarness {
		b := newBench(t)
		return b.harness(func(_ *testing.T, username, password string) { b.replace("app", secret(username, password)) })
	})
}

// An operator who edits what is there leaves the marker of the version before.
func TestConformanceEdited(t *testing.T) {
	rotatetest.Store(t, func(t *testing.T) rotatetest.StoreHarness {
		b := newBench(t)
		return b.harness(func(_ *testing.T, username, password string) {
			data := b.get("app").Data
			data["username"], data["password"] = []byte(username), []byte(password)
			b.replace("app", data)
		})
	})
}

// What deletes the Secret and makes it anew, as kubectl replace --force does, leaves
// no marker and another UID. The envelope has been made beforehand, so that nobody
// collects it.
func TestConformanceRecreated(t *testing.T) {
	rotatetest.Store(t, func(t *testing.T) rotatetest.StoreHarness {
		b := newBench(t)
		b.create("app-rekey", nil)
		return b.harness(func(_ *testing.T, username, password string) {
			b.remove("app")
			b.create("app", secret(username, password))
		})
	})
}
