package keypair_test

import (
	"crypto/tls"
	"fmt"

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
