package rotate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/document"
	"github.com/rekey-go/rekey/rotate/file"
	"github.com/rekey-go/rekey/rotate/kms"
)

// A rotation needs a place where the secret is kept and something that it is for. Here
// that is a file, and a service that keeps keys in another one, so that it runs anywhere.
func ExampleNew() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	service := kms.Ring(document.File(filepath.Join(dir, "ring.json"), 0o600))
	path := filepath.Join(dir, "key.json")
	if err := writeFirst(ctx, service, path); err != nil {
		log.Fatal(err)
	}

	target, err := kms.New(&kms.Config{Service: service}) // or postgres.ParallelRole, mysql.DualPassword …
	if err != nil {
		log.Fatal(err)
	}
	r, err := rotate.New(&rotate.Config{
		Store:  file.New(path, nil), // or those of rotate/vaultkv, secretsmanager, kubernetes
		Target: target,
		Audit: func(e rotate.Event) {
			if e.Outcome != rotate.OutcomeBegun {
				fmt.Println(e.Step, e.Outcome)
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	plan, err := r.Plan(ctx)
	fmt.Println(plan.Steps, err)
	result, err := r.Rotate(ctx)
	fmt.Println(len(result.Retired), "retired,", err)
	// Output:
	// [create set verify approve promote drain disable remove] <nil>
	// create ok
	// set ok
	// verify ok
	// promote ok
	// drain ok
	// disable ok
	// drain ok
	// remove ok
	// 1 retired, <nil>
}

// writeFirst makes the first key and the file that applications read.
func writeFirst(ctx context.Context, service kms.Service, path string) error {
	first, err := kms.NewKey(ctx, service)
	if err != nil {
		return err
	}
	text, err := json.Marshal(map[string]string{"username": first.Username, "password": first.Password.Reveal()})
	return errors.Join(err, os.WriteFile(path, text, 0o600))
}

// The audit goes to a logger, one line as each step begins and one as it ends.
func ExampleLogTo() {
	untimed := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	audit := rotate.LogTo(slog.New(slog.NewTextHandler(os.Stdout, untimed))) // for Config.Audit
	audit(rotate.Event{
		Secret: "orders", Rotation: "6f2c", Strategy: "single user", Step: rotate.StepPromote, Outcome: rotate.OutcomeOK,
		From: "91ab", To: "6f2c", User: "app", Actor: "dora", Host: "worker-1",
	})
	// Output: level=INFO msg="rekey: rotation promote ok" secret=orders rotation=6f2c step=promote outcome=ok strategy="single user" from=91ab to=6f2c user=app actor=dora host=worker-1
}

// Class has few values, so it can be a metric's label.
func ExampleClass() {
	err := fmt.Errorf("rotate: orders: set: %w", rotate.ErrConflict)
	fmt.Println(rotate.Class(err), rotate.Class(context.DeadlineExceeded), rotate.Class(errors.New("disk full")))
	// Output: conflict timeout other
}
