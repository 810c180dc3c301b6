package contract

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// three makes the secrets s/a, s/b and s/c.
func (c *caller) three() {
	c.t.Helper()
	for _, end := range []string{"/a", "/b", "/c"} {
		other := *c
		other.name += end
		other.create("one")
	}
}

func named(prefix string) []types.Filter {
	return []types.Filter{{Key: types.FilterNameStringTypeName, Values: []string{prefix}}}
}

var listing = []check{
	{"list: by a prefix of the name", "s/a s/b s/c | s/b", func(c *caller) string {
		c.three()
		return line(c.list(secretsmanager.ListSecretsInput{Filters: named(c.name)}), c.list(secretsmanager.ListSecretsInput{Filters: named(c.name + "/b")}))
	}},
	{"list: page by page", "/a | /b | /c", func(c *caller) string {
		c.three()
		var pages []string
		in := &secretsmanager.ListSecretsInput{Filters: named(c.name), MaxResults: aws.Int32(1), SortOrder: types.SortOrderTypeAsc}
		for p := secretsmanager.NewListSecretsPaginator(c.client, in); p.HasMorePages(); {
			out, err := p.NextPage(c.ctx)
			c.must(err)
			var names []string
			for _, s := range out.SecretList {
				names = append(names, strings.TrimPrefix(*s.Name, c.name))
			}
			pages = append(pages, strings.Join(names, " "))
		}
		return line(pages...)
	}},
	{"list: what it tells of a secret", "v1=AWSPREVIOUS v2=AWSCURRENT | hello", func(c *caller) string {
		c.create("one")
		c.has(2, "two")
		_, err := c.client.UpdateSecret(c.ctx, &secretsmanager.UpdateSecretInput{SecretId: &c.name, Description: aws.String("hello")})
		c.must(err)
		out, err := c.client.ListSecrets(c.ctx, &secretsmanager.ListSecretsInput{Filters: named(c.name)})
		c.must(err)
		return line(c.stages(out.SecretList[0].SecretVersionsToStages), aws.ToString(out.SecretList[0].Description))
	}},
	{"list: with a token of nowhere", "InvalidNextTokenException", func(c *caller) string {
		return c.list(secretsmanager.ListSecretsInput{NextToken: aws.String("nowhere!")})
	}},
	{"list: not what is scheduled for deletion, unless asked", " | s", func(c *caller) string {
		c.create("one")
		c.schedule()
		in := secretsmanager.ListSecretsInput{Filters: named(c.name)}
		without := c.list(in)
		in.IncludePlannedDeletion = aws.Bool(true)
		return line(without, c.list(in))
	}},
	{"list: by tags", "s/a", func(c *caller) string {
		c.three()
		name := c.name + "/a"
		_, err := c.client.TagResource(c.ctx, &secretsmanager.TagResourceInput{SecretId: &name, Tags: []types.Tag{{Key: &c.prefix, Value: aws.String("x")}}})
		c.must(err)
		return c.list(secretsmanager.ListSecretsInput{Filters: []types.Filter{{Key: types.FilterNameStringTypeTagKey, Values: []string{c.prefix}}}})
	}},
	{"list: the versions page by page", "1 1", func(c *caller) string {
		c.create("one")
		c.has(2, "two")
		var sizes []string
		p := secretsmanager.NewListSecretVersionIdsPaginator(c.client, &secretsmanager.ListSecretVersionIdsInput{SecretId: &c.name, MaxResults: aws.Int32(1)})
		for p.HasMorePages() {
			out, err := p.NextPage(c.ctx)
			c.must(err)
			sizes = append(sizes, fmt.Sprint(len(out.Versions)))
		}
		return strings.Join(sizes, " ")
	}},
	{"list: the ARN beside the versions", "the secret's", func(c *caller) string {
		c.create("one")
		out, err := c.client.ListSecretVersionIds(c.ctx, &secretsmanager.ListSecretVersionIdsInput{SecretId: &c.name})
		c.must(err)
		return strings.ReplaceAll(strings.ReplaceAll(aws.ToString(out.ARN), c.arn, "the secret's"), c.name, "s")
	}},
	{"list: the versions of a secret that is not there", "ResourceNotFoundException", func(c *caller) string {
		return c.versions(false)
	}},
	{"password: as long as asked, with each kind of character", "20 letters | aA1! | none excluded", func(c *caller) string {
		out, err := c.client.GetRandomPassword(c.ctx, &secretsmanager.GetRandomPasswordInput{PasswordLength: aws.Int64(20), ExcludeCharacters: aws.String(`"@/\'`)})
		c.must(err)
		text := *out.RandomPassword
		kinds, excluded := "", "none excluded"
		for _, kind := range []struct{ sign, letters string }{
			{"a", "abcdefghijklmnopqrstuvwxyz"}, {"A", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}, {"1", "0123456789"}, {"!", "!#$%&()*+,-.:;<=>?[]^_`{|}~"},
		} {
			if strings.ContainsAny(text, kind.letters) {
				kinds += kind.sign
			}
		}
		if strings.ContainsAny(text, `"@/\'`) {
			excluded = "excluded " + text
		}
		return line(fmt.Sprint(len(text), " letters"), kinds, excluded)
	}},
}

var deleting = []check{
	{"delete: 30 days unless told", "30 days", func(c *caller) string {
		c.create("one")
		out, err := c.client.DeleteSecret(c.ctx, &secretsmanager.DeleteSecretInput{SecretId: &c.name})
		c.must(err)
		return fmt.Sprint(int(time.Until(*out.DeletionDate).Hours()/24+0.5), " days")
	}},
	{"delete: DescribeSecret tells the date", "true", func(c *caller) string {
		c.create("one")
		c.schedule()
		return fmt.Sprint(c.describe().DeletedDate != nil)
	}},
	{"delete: a scheduled secret cannot be read", "InvalidRequestException", func(c *caller) string {
		c.create("one")
		c.schedule()
		return c.get("")
	}},
	{"delete: a scheduled secret cannot be put", "InvalidRequestException", func(c *caller) string {
		c.create("one")
		c.schedule()
		return c.put(2, "two")
	}},
	{"delete: a scheduled secret cannot be updated", "InvalidRequestException", func(c *caller) string {
		c.create("one")
		c.schedule()
		return c.update(2, "two")
	}},
	{"delete: a scheduled secret's labels cannot be moved", "InvalidRequestException", func(c *caller) string {
		c.create("one")
		c.has(2, "two")
		c.schedule()
		return c.move("AWSCURRENT", 2, 1)
	}},
	{"delete: a scheduled secret's name is taken", "InvalidRequestException", func(c *caller) string {
		c.create("one")
		c.schedule()
		return c.createAgain(2, "two")
	}},
	{"delete: a scheduled secret, once more", "InvalidRequestException", func(c *caller) string {
		c.create("one")
		c.schedule()
		return c.delete(secretsmanager.DeleteSecretInput{})
	}},
	{"delete: restored, it is as before", "one | false", func(c *caller) string {
		c.create("one")
		c.schedule()
		_, err := c.client.RestoreSecret(c.ctx, &secretsmanager.RestoreSecretInput{SecretId: &c.name})
		c.must(err)
		return line(c.get(""), fmt.Sprint(c.describe().DeletedDate != nil))
	}},
	{"delete: by force it is gone and the name is free", "ok | ResourceNotFoundException | v2", func(c *caller) string {
		c.create("one")
		return line(c.delete(secretsmanager.DeleteSecretInput{ForceDeleteWithoutRecovery: aws.Bool(true)}), c.get(""), c.createAgain(2, "two"))
	}},
	{"delete: a new secret of the same name has another ARN", "another", func(c *caller) string {
		c.create("one")
		before := c.arn
		c.delete(secretsmanager.DeleteSecretInput{ForceDeleteWithoutRecovery: aws.Bool(true)})
		c.create("one")
		if c.arn == before {
			return "the same"
		}
		return "another"
	}},
	{"delete: by force what is not there", "ok", func(c *caller) string {
		return c.delete(secretsmanager.DeleteSecretInput{ForceDeleteWithoutRecovery: aws.Bool(true)})
	}},
	{"delete: what is not there", "ResourceNotFoundException", func(c *caller) string {
		return c.delete(secretsmanager.DeleteSecretInput{})
	}},
	{"delete: six days are too few", "InvalidParameterException", func(c *caller) string {
		c.create("one")
		return c.delete(secretsmanager.DeleteSecretInput{RecoveryWindowInDays: aws.Int64(6)})
	}},
	{"delete: by force with a window", "InvalidParameterException", func(c *caller) string {
		c.create("one")
		return c.delete(secretsmanager.DeleteSecretInput{RecoveryWindowInDays: aws.Int64(7), ForceDeleteWithoutRecovery: aws.Bool(true)})
	}},
}

var rotating = []check{
	{"rotate: a secret never configured says nothing of rotation", "true true true true", func(c *caller) string {
		c.create("one")
		d := c.describe()
		return fmt.Sprint(d.RotationEnabled == nil, " ", d.RotationRules == nil, " ", d.LastRotatedDate == nil, " ", d.NextRotationDate == nil)
	}},
	{"rotate: without a rotation function", "InvalidRequestException", func(c *caller) string {
		c.create("one")
		return c.rotate(secretsmanager.RotateSecretInput{})
	}},
	{"rotate: every 1001 days", "InvalidParameterException", func(c *caller) string {
		c.create("one")
		return c.rotate(secretsmanager.RotateSecretInput{RotationLambdaARN: aws.String(function), RotationRules: &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(1001)}})
	}},
	{"rotate: days and an expression", "InvalidParameterException", func(c *caller) string {
		c.create("one")
		return c.rotate(secretsmanager.RotateSecretInput{
			RotationLambdaARN: aws.String(function),
			RotationRules:     &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(10), ScheduleExpression: aws.String("rate(10 days)")},
		})
	}},
	{"rotate: what is not there", "ResourceNotFoundException", func(c *caller) string {
		return c.rotate(secretsmanager.RotateSecretInput{})
	}},
	{"rotate: what is scheduled for deletion", "InvalidRequestException", func(c *caller) string {
		c.create("one")
		c.schedule()
		return c.rotate(secretsmanager.RotateSecretInput{RotationLambdaARN: aws.String(function)})
	}},
	{"rotate: while another version is pending", "InvalidRequestException | v1=AWSCURRENT v2=AWSPENDING", func(c *caller) string {
		c.create("one")
		c.has(2, "two", "AWSPENDING")
		return line(c.rotate(secretsmanager.RotateSecretInput{RotationLambdaARN: aws.String(function)}), c.labels())
	}},
	{"rotate: cancelled without having been configured", "InvalidRequestException", func(c *caller) string {
		c.create("one")
		_, err := c.client.CancelRotateSecret(c.ctx, &secretsmanager.CancelRotateSecretInput{SecretId: &c.name})
		return c.failure(err, "ok")
	}},
	{"tags: added, replaced and removed", "a=1 b=2 | a=3 b=2 | b=2", func(c *caller) string {
		c.create("one")
		tag := func(pairs ...string) string {
			in := &secretsmanager.TagResourceInput{SecretId: &c.name}
			for _, pair := range pairs {
				in.Tags = append(in.Tags, types.Tag{Key: aws.String(pair[:1]), Value: aws.String(pair[2:])})
			}
			_, err := c.client.TagResource(c.ctx, in)
			c.must(err)
			return c.tags()
		}
		added, replaced := tag("a=1", "b=2"), tag("a=3")
		_, err := c.client.UntagResource(c.ctx, &secretsmanager.UntagResourceInput{SecretId: &c.name, TagKeys: []string{"a"}})
		c.must(err)
		return line(added, replaced, c.tags())
	}},
}

// function is the ARN of no function.
const function = "arn:aws:lambda:us-east-1:123456789012:function:rotate"

func (c *caller) rotate(in secretsmanager.RotateSecretInput) string {
	c.t.Helper()
	in.SecretId, in.ClientRequestToken = &c.name, c.v(9)
	_, err := c.client.RotateSecret(c.ctx, &in)
	return c.failure(err, "ok")
}

func (c *caller) tags() string {
	c.t.Helper()
	var pairs []string
	for _, tag := range c.describe().Tags {
		pairs = append(pairs, *tag.Key+"="+*tag.Value)
	}
	slices.Sort(pairs)
	return strings.Join(pairs, " ")
}
