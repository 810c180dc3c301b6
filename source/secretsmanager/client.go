package secretsmanager

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/source"
)

// A Client is what this package needs of a *secretsmanager.Client of
// aws-sdk-go-v2. A later version may need more of it: let a fake of your own embed one.
type Client interface {
	GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
	DescribeSecret(ctx context.Context, in *secretsmanager.DescribeSecretInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error)
}

// present returns an error if client is nil.
func present(client any) error {
	if c, ok := client.(*secretsmanager.Client); client == nil || ok && c == nil {
		return source.Permanent(errors.New("secretsmanager: the client is nil"))
	}
	return nil
}

// once turns the client's retries off, and whatever would log a value.
func once(o *secretsmanager.Options) {
	signing(o)
	o.Retryer = aws.NopRetryer{}
	if o.ClientLogMode.IsResponseWithBody() {
		o.ClientLogMode.ClearResponseWithBody()
		o.ClientLogMode |= aws.LogResponse
	}
}

// signing tells errors of the provider of AWS credentials from those of Secrets
// Manager: they may come from another service with the same codes.
func signing(o *secretsmanager.Options) {
	if o.Credentials != nil {
		o.Credentials = provider{o.Credentials}
	}
}

type provider struct{ aws.CredentialsProvider }

func (p provider) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := p.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		return c, &providerError{err}
	}
	return c, nil
}

type providerError struct{ error }

func (e *providerError) Unwrap() error { return e.error }

// region returns where the client asks, and whether that is known.
func region(client any) (name string, known bool) {
	c, ok := client.(interface{ Options() secretsmanager.Options })
	if !ok {
		return "", false
	}
	o := c.Options()
	return o.Region, o.Region != "" || o.BaseEndpoint == nil
}

// elsewhere says so if id is an ARN of another region than the client's.
func elsewhere(client any, id string) string {
	asked, known := region(client)
	if a, err := arn.Parse(id); err == nil && known && a.Region != asked {
		return "the ARN is of " + a.Region + " and the client asks in " + asked
	}
	return ""
}
