package rdsiam_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/iamcheck"
	"github.com/rekey-go/rekey/source/rdsiam"
)

var endpoints = []struct{ endpoint, host, problem string }{
	{endpoint, "db.abc123.eu-central-1.rds.amazonaws.com", ""},
	{"DB.Internal:3306", "DB.Internal", ""},
	{"db_1:65535", "db_1", ""},
	{"127.0.0.1:5432", "127.0.0.1", ""},
	{"[::1]:5432", "::1", ""},
	{"", "", "empty"},
	{"db", "", "no port"},
	{"db:", "", "port"},
	{":5432", "", "no host"},
	{"db:0", "", "65535"},
	{"db:05432", "", "65535"},
	{"db:+5", "", "65535"},
	{"db:65536", "", "65535"},
	{"db:postgres", "", "65535"},
	{"::1:5432", "", "brackets"},
	{"[db]:1:2", "", "brackets"},
	{"[fe80::1%eth0]:5432", "", "IPv6"},
	{"[0]:1", "", "IPv6"},
	{"https://db:5432", "", "URL"},
	{"postgres://app:cAnArY@db:5432/app", "", "URL"},
	{"app@db:5432", "", "character"},
	{"db:5432/app", "", "65535"},
	{"db/x:5432", "", "character"},
	{"db?Action=drop:5432", "", "character"},
	{"db #:5432", "", "character"},
	{"dä:5432", "", "character"},
	{"db\n:5432", "", "character"},
}

func TestParseEndpoint(t *testing.T) {
	for _, c := range endpoints {
		host, err := rdsiam.ParseEndpoint(c.endpoint)
		require.Equal(t, c.host, host, c.endpoint)
		if c.problem == "" {
			require.NoError(t, err, c.endpoint)
			continue
		}
		require.ErrorContains(t, err, c.problem, c.endpoint)
		require.NotContains(t, err.Error(), "cAnArY")
	}
}

// What is let through is what the token is for; what is not never reaches the
// signer.
func FuzzParseEndpoint(f *testing.F) {
	for _, c := range endpoints {
		f.Add(c.endpoint, "app")
	}
	f.Add("db:1", "o'neil &=?/+%~*")
	v := newVendor()
	config := v.config()
	f.Fuzz(func(t *testing.T, endpoint, user string) {
		host, err := rdsiam.ParseEndpoint(endpoint)
		c, failed := rdsiam.New(config, endpoint, user, nil).Credential(t.Context())
		if err != nil {
			require.Empty(t, host)
		}
		if err != nil || user == "" {
			require.Error(t, failed)
			return
		}
		require.NoError(t, failed)
		check := iamcheck.Checker{Endpoint: endpoint, Region: regionOr(host), Keys: v.keys()}
		require.NoError(t, check.Check(user, c.Password.Reveal(), time.Now()))
	})
}

func regionOr(host string) string {
	if r := rdsiam.RegionOf(host); r != "" {
		return r
	}
	return region
}

func TestRegion(t *testing.T) {
	for host, want := range map[string]string{
		"db.abc123.us-west-2.rds.amazonaws.com":                 "us-west-2",
		"my.cluster-ro-abc123.eu-west-1.rds.amazonaws.com":      "eu-west-1",
		"my-proxy.proxy-abc123.us-gov-west-1.RDS.amazonaws.com": "us-gov-west-1",
		"db.abc123.rds.cn-north-1.amazonaws.com.cn":             "cn-north-1",
		"db.abc123.us-west-2.rds.amazonaws.com.evil.example":    "",
		"us-west-2.rds.amazonaws.com":                           "",
		"rds.amazonaws.com":                                     "",
		"db.internal":                                           "",
		"bucket.s3.us-west-2.amazonaws.com":                     "",
		"":                                                      "",
	} {
		require.Equal(t, want, rdsiam.RegionOf(host), host)
	}
	v := newVendor()
	for _, c := range []struct {
		config aws.Config
		host   string
		opts   *rdsiam.Options
		want   string
	}{
		{v.config(), "db.internal", nil, region},
		{v.config(), "db.abc123.us-west-2.rds.amazonaws.com", nil, "us-west-2"},
		{v.config(), "db.abc123.us-west-2.rds.amazonaws.com", &rdsiam.Options{Region: "us-east-1"}, "us-east-1"},
		{aws.Config{Credentials: v}, "db.internal", &rdsiam.Options{Region: "us-east-1"}, "us-east-1"},
	} {
		check := iamcheck.Checker{Endpoint: c.host + ":1", Region: c.want, Keys: v.keys()}
		require.NoError(t, check.Check("app", get(t, rdsiam.New(c.config, c.host+":1", "app", c.opts)).Password.Reveal(), time.Now()), c.host)
	}
}
