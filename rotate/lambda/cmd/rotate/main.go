// The rotate program is a rotation function of AWS Secrets Manager for the
// runtime provided.al2023, where it is called bootstrap:
//
//	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 go build -tags lambda.norpc -o bootstrap ./cmd/rotate
//
// lambda.FromEnvironment lists the variables that configure it. Region,
// credentials and endpoint are those that the AWS SDK finds. It logs JSON, a
// line as each step begins and one as it ends.
package main

import (
	"context"
	"log/slog"
	"os"

	runtime "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/lambda"
)

func main() {
	logger := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	handler, err := handler(context.Background(), logger)
	if err != nil {
		logger.Error("the function cannot start", "error", err)
		os.Exit(1)
	}
	runtime.Start(handler)
}

func handler(ctx context.Context, logger *slog.Logger) (any, error) {
	aws, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	c, err := lambda.FromEnvironment(secretsmanager.NewFromConfig(aws), os.Getenv)
	if err != nil {
		return nil, err
	}
	c.Audit = rotate.LogTo(logger)
	return lambda.Handler(c)
}
