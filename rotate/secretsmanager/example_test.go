package secretsmanager_test

import (
	"context"
	"fmt"
	"log"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/internal/smserver"
	"github.com/rekey-go/rekey/rotate/secretsmanager"
	"github.com/rekey-go/rekey/source"
)

// exampleClient stands for what a program has from config.LoadDefaultConfig and
// sdk.NewFromConfig. Its store holds the secret "shop/orders".
func exampleClient() (*sdk.Client, func()) {
	store := smserver.New()
	server, err := smserver.Start(store)
	if err != nil {
		log.Fatal(err)
	}
	client := sdk.New(sdk.Options{
		Region: "eu-central-1", BaseEndpoint: &server.URL,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: "example"}, nil
		}),
	})
	_, err = client.CreateSecret(context.Background(), &sdk.CreateSecretInput{
		Name: aws.String("shop/orders"), SecretString: aws.String(`{"username":"app","password":"s3cret","host":"db.internal","port":5432}`),
	})
	if err != nil {
		log.Fatal(err)
	}
	return client, func() { server.Close(); store.Close() }
}

func ExampleNew() {
	ctx := context.Background()
	client, stop := exampleClient()
	defer stop()

	store := secretsmanager.New(client, "shop/orders", nil) // goes into rotate.Config
	state, err := store.Read(ctx)
	if err != nil {
		log.Fatal(err)
	}
	from, to := state.Current.Token, "0b1f3f0e-9d0c-4d53-8d43-6d2f5f8f7a11" // a rotator draws it
	next := source.Credential{Username: "app", Password: source.NewSecret("n3xt")}
	if err := store.Create(ctx, to, next); err != nil {
		log.Fatal(err)
	}
	// Here the database learns of it.
	if err := store.Promote(ctx, to, from); err != nil {
		log.Fatal(err)
	}
	state, err = store.Read(ctx)
	port, _ := state.Current.Credential.Field("port")
	fmt.Println(state.Current.Credential.Password.Reveal(), port.Reveal(), state.Previous.Token == from, err)
	// Output: n3xt 5432 true <nil>
}
