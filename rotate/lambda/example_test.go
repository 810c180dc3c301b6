package lambda_test

import (
	"context"
	"fmt"
	"log/slog"

	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/pool/verify"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/lambda"
)

// exampleClient stands for what sdk.NewFromConfig makes of
// config.LoadDefaultConfig.
var exampleClient = sdk.New(sdk.Options{Region: "eu-central-1"})

func ExampleHandler() {
	database := &lambda.Postgres{
		Strategy: lambda.ParallelRole, Group: "shop_owner",
		Verify: verify.Privileges(verify.On("orders", "select", "insert")),
	}
	handler, err := lambda.Handler(&lambda.Config{
		Client:  exampleClient,
		Secrets: []string{"arn:aws:secretsmanager:eu-central-1:123456789012:secret:shop/app-AbCdEf"},
		Open:    database.Open,
		Audit:   rotate.LogTo(slog.Default()),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// lambda.Start(handler) of aws-lambda-go comes here. Instead, one event:
	fmt.Println(handler(context.Background(), event{Step: "makeSecret"}))
	// Output: lambda: the event's Step is "makeSecret"; it should be createSecret, setSecret, testSecret or finishSecret
}

func ExampleFromEnvironment() {
	environment := map[string]string{
		"REKEY_SECRETS":  "arn:aws:secretsmanager:eu-central-1:123456789012:secret:shop/app-AbCdEf",
		"REKEY_STRATEGY": "parallel",
	}
	_, err := lambda.FromEnvironment(exampleClient, func(name string) string { return environment[name] })
	fmt.Println(err)
	environment["REKEY_GROUP"] = "shop_owner"
	config, err := lambda.FromEnvironment(exampleClient, func(name string) string { return environment[name] })
	fmt.Println(len(config.Secrets), err)
	// Output:
	// lambda: REKEY_GROUP should name the role that owns everything, with the strategy parallel and only there
	// 1 <nil>
}
