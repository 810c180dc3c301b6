package lambda

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/rotate/secretsmanager"
)

// An observer is the client of one invocation. It remembers how the secret was
// described at first, so that the handler need not ask again, and proves to
// Secrets Manager who asks, where the function has assumed a role of another
// account.
type observer struct {
	secretsmanager.Client
	rotationToken string // empty: none was given
	about         *sdk.DescribeSecretOutput
}

func (o *observer) DescribeSecret(ctx context.Context, in *sdk.DescribeSecretInput, opts ...func(*sdk.Options)) (*sdk.DescribeSecretOutput, error) {
	out, err := o.Client.DescribeSecret(ctx, in, opts...)
	if err == nil && o.about == nil {
		o.about = out
	}
	return out, err
}

func (o *observer) PutSecretValue(ctx context.Context, in *sdk.PutSecretValueInput, opts ...func(*sdk.Options)) (*sdk.PutSecretValueOutput, error) {
	if o.rotationToken != "" {
		with := *in
		with.RotationToken = aws.String(o.rotationToken)
		in = &with
	}
	return o.Client.PutSecretValue(ctx, in, opts...)
}
