package kmskey_test

import (
	"context"
	"fmt"
	"log"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/rekey-go/rekey/internal/smserver/moto"
	"github.com/rekey-go/rekey/rotate/aws/kmskey"
	"github.com/rekey-go/rekey/rotate/kms"
)

// A key of KMS encrypts and decrypts; which one it is, is what a rotation changes.
func ExampleNew() {
	ctx := context.Background()
	server, err := moto.Start(ctx, nil) // in place of AWS
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	client := awskms.New(awskms.Options{
		Region: "eu-central-1", BaseEndpoint: aws.String(server.URL),
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "an example", ""),
	})

	service := kmskey.New(client, "customers", nil)
	first, err := kms.NewKey(ctx, service)
	if err != nil {
		log.Fatal(err)
	}
	text, err := service.Encrypt(ctx, first.Username, []byte("a customer's address"))
	if err != nil {
		log.Fatal(err)
	}
	plain, err := service.Decrypt(ctx, first.Username, text)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(plain))
	// Output: a customer's address
}
