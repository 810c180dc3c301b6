package secretsmanager_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/internal/smserver"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source/secretsmanager"
)

// exampleClient stands for what a service has from config.LoadDefaultConfig and
// sdk.NewFromConfig. Its store holds two secrets.
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
	for _, name := range []string{"shop/orders", "shop/stock"} {
		_, err := client.CreateSecret(context.Background(), &sdk.CreateSecretInput{
			Name: aws.String(name), SecretString: aws.String(`{"username":"app","password":"s3cret","host":"db.internal","port":5432}`),
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	return client, func() { server.Close(); store.Close() }
}

func ExampleNew() {
	client, stop := exampleClient()
	defer stop()
	src := secretsmanager.New(client, "shop/orders", &secretsmanager.Options{
		Bridge: true, // AWSPENDING may serve while the database is ahead of AWSCURRENT
	})
	r, err := refresh.New(context.Background(), src, nil) // pool.Open(ctx, dsn, src, nil) does this, too
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	c := r.Current()
	host, _ := c.Field("host")
	fmt.Println(c.Username, c.Password, host.Reveal())
	// Output: app [redacted] db.internal
}

func ExampleRotationHealth() {
	client, stop := exampleClient()
	defer stop()
	r, err := secretsmanager.RotationHealth(context.Background(), client, "shop/orders", nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Name, r.State)
	// Output: shop/orders disabled
}

func ExampleRotationHealths() {
	client, stop := exampleClient()
	defer stop()
	opts := &secretsmanager.RotationOptions{
		Grace:  12 * time.Hour,
		Report: func(secretsmanager.Rotation) { /* set a gauge for each State and LateDays */ },
	}
	for r, err := range secretsmanager.RotationHealths(context.Background(), client, "shop/", opts) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r.Name, r.State, r.LateDays())
	}
	// Unordered output:
	// shop/orders disabled 0
	// shop/stock disabled 0
}
