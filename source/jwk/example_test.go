package jwk_test

import (
	"fmt"

	"github.com/rekey-go/rekey/source/jwk"
)

func Example() {
	secret, err := jwk.Generate(jwk.ES256) // to be stored
	if err != nil {
		fmt.Println(err)
		return
	}
	private, algorithm, err := jwk.Private(secret)
	if err != nil {
		fmt.Println(err)
		return
	}
	public, err := jwk.New("key_1", private.Public()) // to be published
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(algorithm, public.ID, public.KeyType, public.Curve)
	// Output: ES256 key_1 EC P-256
}

func ExampleParseSet() {
	published := `{"keys": [
		{"kty": "OKP", "kid": "key_1", "use": "sig", "alg": "EdDSA", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
		{"kty": "a kind of tomorrow", "kid": "key_2"}]}`
	keys, err := jwk.ParseSet([]byte(published))
	for id, public := range keys {
		fmt.Printf("%s %T\n", id, public)
	}
	fmt.Println(err)
	// Output:
	// key_1 ed25519.PublicKey
	// <nil>
}
