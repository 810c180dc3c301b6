package lambda_test

import (
	"context"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/lambda"
	"github.com/rekey-go/rekey/source"
)

const anARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:shop/app-AbCdEf"

func TestOptionsOfTheEnvironment(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty.pem")
	require.NoError(t, os.WriteFile(empty, []byte("no certificate"), 0o600))
	for name, tt := range map[string]struct {
		set   map[string]string
		wrong string // the variable; empty: none is
	}{
		"nothing":               {nil, "REKEY_STRATEGY"},
		"other strategy":        {map[string]string{"REKEY_STRATEGY": "Single"}, "REKEY_STRATEGY"},
		"no secrets":            {map[string]string{"REKEY_STRATEGY": "single"}, "REKEY_SECRETS"},
		"only commas":           {map[string]string{"REKEY_STRATEGY": "single", "REKEY_SECRETS": " , "}, "REKEY_SECRETS"},
		"single":                {map[string]string{"REKEY_STRATEGY": "single", "REKEY_SECRETS": anARN + ", " + anARN}, ""},
		"alternating":           {map[string]string{"REKEY_STRATEGY": "alternating", "REKEY_SECRETS": anARN, "REKEY_USERS": "one, two"}, ""},
		"one user":              {map[string]string{"REKEY_STRATEGY": "alternating", "REKEY_SECRETS": anARN, "REKEY_USERS": "one"}, "REKEY_USERS"},
		"users who do not turn": {map[string]string{"REKEY_STRATEGY": "single", "REKEY_SECRETS": anARN, "REKEY_USERS": "one,two"}, "REKEY_USERS"},
		"parallel":              {map[string]string{"REKEY_STRATEGY": "parallel", "REKEY_SECRETS": anARN, "REKEY_GROUP": "owner"}, ""},
		"no group":              {map[string]string{"REKEY_STRATEGY": "parallel", "REKEY_SECRETS": anARN}, "REKEY_GROUP"},
		"group of nobody":       {map[string]string{"REKEY_STRATEGY": "single", "REKEY_SECRETS": anARN, "REKEY_GROUP": "owner"}, "REKEY_GROUP"},
		"no such file":          {map[string]string{"REKEY_STRATEGY": "single", "REKEY_SECRETS": anARN, "REKEY_CA_FILE": "nowhere.pem"}, "REKEY_CA_FILE"},
		"no certificate":        {map[string]string{"REKEY_STRATEGY": "single", "REKEY_SECRETS": anARN, "REKEY_CA_FILE": empty}, "REKEY_CA_FILE"},
		"no unit":               {map[string]string{"REKEY_STRATEGY": "single", "REKEY_SECRETS": anARN, "REKEY_CONNECT_TIMEOUT": "5"}, "REKEY_CONNECT_TIMEOUT"},
		"no time":               {map[string]string{"REKEY_STRATEGY": "single", "REKEY_SECRETS": anARN, "REKEY_DRAIN_TIMEOUT": "0s"}, "REKEY_DRAIN_TIMEOUT"},
	} {
		_, err := lambda.FromEnvironment(&sdk.Client{}, func(name string) string { return tt.set[name] })
		if tt.wrong == "" {
			require.NoError(t, err, name)
			continue
		}
		var option *lambda.OptionError
		require.ErrorAs(t, err, &option, name)
		require.Equal(t, tt.wrong, option.Option, name)
	}
}

func TestOptionsOfTheHandler(t *testing.T) {
	t.Parallel()
	open := (&lambda.Postgres{Strategy: lambda.SingleUser}).Open
	for wrong, c := range map[string]*lambda.Config{
		"Client":  {Secrets: []string{anARN}, Open: open},
		"Open":    {Client: &sdk.Client{}, Secrets: []string{anARN}},
		"Secrets": {Client: &sdk.Client{}, Open: open, Secrets: []string{"shop/app"}},
	} {
		_, err := lambda.Handler(c)
		var option *lambda.OptionError
		require.ErrorAs(t, err, &option, wrong)
		require.Equal(t, wrong, option.Option)
	}
	_, err := lambda.Handler(&lambda.Config{Client: &sdk.Client{}, Open: open})
	require.ErrorContains(t, err, "Secrets is empty")
	_, err = lambda.Handler(nil)
	require.ErrorContains(t, err, "Client is missing")
}

// A program without its variables ends at once and says which one is missing.
func TestProgramDoesNotStart(t *testing.T) {
	t.Parallel()
	s := newScene(t, strategies[0])
	f := s.start("REKEY_SECRETS=")
	require.Error(t, f.Invoke(t.Context(), event{}, patience))
	require.Contains(t, s.log.String(), "REKEY_SECRETS is empty")
}

// puts are the requests that write a value.
type puts struct {
	*sdk.Client
	all []*sdk.PutSecretValueInput
}

func (p *puts) PutSecretValue(ctx context.Context, in *sdk.PutSecretValueInput, opts ...func(*sdk.Options)) (*sdk.PutSecretValueOutput, error) {
	p.all = append(p.all, in)
	return p.Client.PutSecretValue(ctx, in, opts...)
}

// The handler in a program of one's own: what Open says is kept to, every step is
// in the audit, and the rotation token is handed on, which proves to Secrets
// Manager who asks from another account.
func TestHandlerOfOnesOwn(t *testing.T) {
	t.Parallel()
	s := newScene(t, strategies[0])
	_, l := s.current()
	pem, err := os.ReadFile(s.db.Server.CAFile())
	require.NoError(t, err)
	p := &lambda.Postgres{Strategy: lambda.SingleUser, CA: x509.NewCertPool()}
	require.True(t, p.CA.AppendCertsFromPEM(pem))
	client := &puts{Client: s.client}
	var steps []rotate.Step
	handle, err := lambda.Handler(&lambda.Config{
		Client: client, Secrets: []string{s.secret},
		Open: func(ctx context.Context, secret lambda.Secret) (*rotate.Config, error) {
			c, err := p.Open(ctx, secret)
			if err == nil {
				c.Generate = func() (source.Secret, error) { return source.NewSecret(canary + "generated"), nil }
			}
			return c, err
		},
		Audit: func(e rotate.Event) {
			if e.Outcome == rotate.OutcomeOK {
				steps = append(steps, e.Step)
			}
		},
	})
	require.NoError(t, err)
	s.invoke = func(ctx context.Context, e event) error {
		e.RotationToken = "a rotation's own"
		return handle(ctx, e)
	}
	require.NoError(t, s.rotate(token(1)))
	require.Equal(t, canary+"generated", s.done(token(1), l).Password)
	require.Equal(t, []rotate.Step{rotate.StepCreate, rotate.StepSet, rotate.StepVerify, rotate.StepVerify, rotate.StepPromote}, steps)
	require.Len(t, client.all, 1)
	require.Equal(t, "a rotation's own", *client.all[0].RotationToken)
}
