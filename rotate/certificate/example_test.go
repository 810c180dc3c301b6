package certificate_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/certificate"
	"github.com/rekey-go/rekey/rotate/document"
	"github.com/rekey-go/rekey/rotate/file"
	"github.com/rekey-go/rekey/rotate/schedule"
	source "github.com/rekey-go/rekey/source/file"
	"github.com/rekey-go/rekey/source/keypair"
)

// The certificate of a server is replaced while it runs: it follows the file that
// the certificate is deployed to.
func ExampleNew() {
	ctx := context.Background()
	ca, err := newAuthority()
	if err != nil {
		log.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	first, err := ca.byHand("shop.example", "shop.example")
	if err != nil {
		log.Fatal(err)
	}
	chain, _ := first.Field(keypair.ChainField)
	text, err := json.Marshal(map[string]string{"username": "shop.example", "password": first.Password.Reveal(), "tls.crt": chain.Reveal()})
	if err != nil {
		log.Fatal(err)
	}
	kept, deployed := filepath.Join(dir, "store.json"), filepath.Join(dir, "tls.json")
	for _, path := range []string{kept, deployed} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			log.Fatal(err)
		}
	}

	// The service.
	r, err := refresh.New(ctx, source.JSON(deployed, nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	current, err := refresh.Derive(ctx, r, func(s refresh.Snapshot) (*tls.Certificate, error) { return keypair.Pair(s.Credential) })
	if err != nil {
		log.Fatal(err)
	}
	defer current.Close()
	service := httptest.NewUnstartedServer(http.NotFoundHandler())
	service.TLS = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current.Get(), nil }}
	service.Config.ErrorLog = log.New(io.Discard, "", 0) // that nobody asks for anything after a handshake
	service.StartTLS()
	defer service.Close()

	// The rotator.
	target, err := certificate.New(&certificate.Config{
		Issue: ca.issue, Names: []string{"shop.example"}, Roots: ca.roots,
		Document: document.File(deployed, 0o600), Address: service.Listener.Addr().String(),
	})
	if err != nil {
		log.Fatal(err)
	}
	store := file.New(kept, nil)
	rotator, err := rotate.New(&rotate.Config{Store: store, Target: target})
	if err != nil {
		log.Fatal(err)
	}
	result, err := rotator.Rotate(ctx)
	fmt.Println(result.User, err)

	// When the next one is due, for Rotator.Run.
	due, err := schedule.BeforeExpiry(func() time.Time {
		state, err := store.Read(ctx)
		if err != nil {
			return time.Time{}
		}
		end, err := keypair.Expires(state.Current.Credential)
		if err != nil {
			return time.Time{}
		}
		return end
	}, 30*24*time.Hour)
	now := time.Now()
	fmt.Println(due.Next(now, now).Sub(now).Round(24*time.Hour).Hours()/24, "days", err)
	// Output:
	// shop.example <nil>
	// 60 days <nil>
}
