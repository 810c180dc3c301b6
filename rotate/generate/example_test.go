package generate_test

import (
	"fmt"

	"github.com/rekey-go/rekey/rotate/generate"
)

func ExamplePassword() {
	password, err := generate.Password(nil)
	fmt.Println(password, len(password.Reveal()), err)

	_, err = generate.Password(&generate.PasswordOptions{Length: 10})
	fmt.Println(err)
	// Output:
	// [redacted] 32 <nil>
	// generate: a secret with these options has 60.4 bits of entropy and needs 112: make it longer or its alphabet larger
}

func ExamplePassword_policy() {
	password, err := generate.Password(&generate.PasswordOptions{
		Length:      24,
		Classes:     []string{generate.Lower, generate.Upper, generate.Digits, generate.MoreSymbols},
		Exclude:     "lIO01$",
		RequireEach: true,
	})
	fmt.Println(password, len(password.Reveal()), err)
	// Output: [redacted] 24 <nil>
}

func ExampleAPIKey() {
	key, err := generate.APIKey("acme_live")
	fmt.Println(key, err)
	fmt.Println(generate.APIKeyPrefix(key))
	// Output:
	// [redacted] <nil>
	// acme_live true
}

func ExampleJWTSecret() {
	secret, err := generate.JWTSecret(512)
	fmt.Println(secret, len(secret.Reveal()), err)
	// Output: [redacted] 86 <nil>
}

func ExampleFor() {
	secret, err := generate.For(generate.KindPassword)
	fmt.Println(secret, err)
	_, err = generate.For("passwrd")
	fmt.Println(err)
	// Output:
	// [redacted] <nil>
	// generate: kind is "passwrd"; it should be "password", "api_key", "jwt_secret" or empty
}
