package keypair_test

import (
	"crypto/tls"
	"fmt"
	"time"

	"github.com/rekey-go/rekey/internal/testca"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/keypair"
)

func ExamplePair() {
	files, err := testca.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	credential := source.Credential{Password: source.NewSecret(string(files.Key))}.
		WithFields(map[string]source.Secret{keypair.ChainField: source.NewSecret(string(files.Cert))})

	pair, err := keypair.Pair(credential)
	if err != nil {
		fmt.Println(err)
		return
	}
	config := &tls.Config{Certificates: []tls.Certificate{*pair}}
	fmt.Println(len(config.Certificates), "certificate for", pair.Leaf.DNSNames)
	// Output: 1 certificate for [localhost]
}

// When a certificate ends is what its rotation is scheduled by.
func ExampleExpires() {
	files, err := testca.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	credential := source.Credential{Password: source.NewSecret(string(files.Key))}.
		WithFields(map[string]source.Secret{keypair.ChainField: source.NewSecret(string(files.Cert))})

	end, err := keypair.Expires(credential)
	fmt.Println(end.After(time.Now()), err)
	// Output: true <nil>
}
