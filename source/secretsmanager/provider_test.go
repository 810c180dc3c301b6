package secretsmanager_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/secretsmanager"
)

// What goes wrong before a request is sent.

// A provider of AWS credentials asks services of its own, whose errors have the
// same codes.
func TestErrorsOfTheCredentialsProvider(t *testing.T) {
	for _, code := range []string{
		"ResourceNotFoundException", "InvalidRequestException", "AccessDeniedException", "AccessDenied", "ThrottlingException", "",
	} {
		t.Run(code, func(t *testing.T) {
			cause := errors.New("no EC2 IMDS role found")
			if code != "" {
				cause = &smithy.OperationError{ServiceID: "STS", OperationName: "AssumeRole", Err: &smithy.GenericAPIError{Code: code, Message: "of another service"}}
			}
			l := newLab(t)
			l.Client = sdk.New(l.Options(), func(o *sdk.Options) {
				o.Credentials = aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
					return aws.Credentials{}, cause
				}))
			})
			s := l.source(&secretsmanager.Options{Bridge: true})
			_, err := s.Credential(t.Context())
			var e *secretsmanager.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, secretsmanager.Credentials, e.Kind)
			require.Empty(t, e.Action)
			require.False(t, source.IsPermanent(err), "it is not known to be for good")
			require.ErrorIs(t, err, cause)
			require.ErrorContains(t, err, cause.Error())
			_, err = s.Candidates(t.Context())
			require.Error(t, err, "it does not mean that there are none")
			require.Empty(t, l.sent())
		})
	}
}

func TestAClientWithoutARegion(t *testing.T) {
	l := newLab(t)
	l.Client = sdk.New(l.Options(), func(o *sdk.Options) { o.Region, o.BaseEndpoint = "", nil })
	_, err := l.source(nil).Credential(t.Context())
	var e *secretsmanager.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, secretsmanager.Refused, e.Kind)
	require.ErrorContains(t, err, "AWS_REGION")
	require.True(t, source.IsPermanent(err))
}

func TestAnARNOfAnotherRegion(t *testing.T) {
	l := newLab(t)
	arn := "arn:aws:secretsmanager:us-east-1:123456789012:secret:orders-AbCdEf"
	_, err := secretsmanager.New(l, arn, nil).Credential(t.Context())
	require.ErrorContains(t, err, "the ARN is of us-east-1 and the client asks in eu-central-1")
	_, err = secretsmanager.New(l, "arn:aws:secretsmanager:eu-central-1:123456789012:secret:orders-AbCdEf", nil).Credential(t.Context())
	require.Error(t, err)
	require.NotContains(t, err.Error(), "the ARN is of")
}

// A nil client is a mistake that is told, not one that ends the process.
func TestNoClient(t *testing.T) {
	for _, client := range []secretsmanager.Client{nil, (*sdk.Client)(nil)} {
		_, err := secretsmanager.New(client, name, nil).Credential(t.Context())
		require.ErrorContains(t, err, "the client is nil")
		require.True(t, source.IsPermanent(err))
		_, err = secretsmanager.RotationHealth(t.Context(), client, name, nil)
		require.ErrorContains(t, err, "the client is nil")
	}
	for _, client := range []secretsmanager.Lister{nil, (*sdk.Client)(nil)} {
		n := 0
		for _, err := range secretsmanager.RotationHealths(t.Context(), client, "", nil) {
			n++
			require.ErrorContains(t, err, "the client is nil")
		}
		require.Equal(t, 1, n)
	}
}

// A client may log what it sends and gets, but not the values of secrets.
func TestF38ALoggingClientDoesNotLogTheValue(t *testing.T) {
	l := newLab(t)
	l.put(login("app", "Canary-3f9a"))
	var log bytes.Buffer
	l.Client = sdk.New(l.Options(), func(o *sdk.Options) {
		o.Logger = logging.NewStandardLogger(&log)
		o.ClientLogMode = aws.LogRequestWithBody | aws.LogResponseWithBody
	})
	s := l.source(&secretsmanager.Options{Bridge: true})
	require.Equal(t, "Canary-3f9a", get(t, s).Password.Reveal())
	_, _ = s.Candidates(t.Context())
	require.Contains(t, log.String(), fmt.Sprintf("HTTP/1.1 %d", http.StatusOK), "the rest is logged")
	require.NotContains(t, log.String(), "Canary-3f9a")
}
