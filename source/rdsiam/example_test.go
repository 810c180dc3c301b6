package rdsiam_test

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/source/rdsiam"
)

func ExampleNew() {
	// In a program: config.LoadDefaultConfig(ctx).
	config := aws.Config{Region: "eu-central-1", Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", "")}

	src := rdsiam.New(config, "db.abc123.eu-central-1.rds.amazonaws.com:5432", "app", nil)
	c, err := src.Credential(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Username, c.Password, c.Expires.Sub(c.Issued).Round(time.Minute), c.Reason)
	// Output: app [redacted] 15m0s token
}

func ExampleNew_pool() {
	src := rdsiam.New(aws.Config{}, "db.internal:5432", "app", nil)
	db, err := pool.Open(context.Background(), "postgres://db.internal/shop?sslmode=verify-full", src, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	// Output: refresh: no first credential: rdsiam: token of user "app" for "db.internal:5432": no region: set AWS_REGION, the configuration's Region, or Options.Region to the region of the database
}
