package contract

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

var reading = []check{
	{"get: by name, by ARN, by ARN without its random end", "one | one | one", func(c *caller) string {
		c.create("one")
		return line(c.getBy(c.name), c.getBy(c.arn), c.getBy(c.arn[:len(c.arn)-7]))
	}},
	{"get: the name with the random end is no name", "ResourceNotFoundException", func(c *caller) string {
		c.create("one")
		return c.getBy(c.name + c.arn[len(c.arn)-7:])
	}},
	{"get: a partial ARN that looks complete is taken for one", "ResourceNotFoundException", func(c *caller) string {
		c.name += "-a1b2c3"
		c.create("one")
		return c.getBy(c.arn[:len(c.arn)-7])
	}},
	{"get: a secret that is not there", "ResourceNotFoundException", func(c *caller) string {
		return c.get("")
	}},
	{"get: a secret that is not there has status 400", "400", func(c *caller) string {
		_, err := c.client.GetSecretValue(c.ctx, &secretsmanager.GetSecretValueInput{SecretId: &c.name})
		return fmt.Sprint(c.status(err))
	}},
	{"get: a secret without a value", "ResourceNotFoundException", func(c *caller) string {
		c.create("")
		return c.get("")
	}},
	{"get: a label that no version has", "ResourceNotFoundException", func(c *caller) string {
		c.create("one")
		return c.get("AWSPREVIOUS")
	}},
	{"get: a version that is not there", "ResourceNotFoundException", func(c *caller) string {
		c.create("one")
		return c.getVersion(2, "")
	}},
	{"get: version and label that belong together", "one", func(c *caller) string {
		c.create("one")
		return c.getVersion(1, "AWSCURRENT")
	}},
	{"get: version and label that do not belong together", "InvalidRequestException", func(c *caller) string {
		c.create("one")
		c.has(2, "two")
		return c.getVersion(2, "AWSPREVIOUS")
	}},
	{"get: all there is to a value", "s | v1 | AWSCURRENT | dated | no binary", func(c *caller) string {
		c.create("one")
		out, err := c.client.GetSecretValue(c.ctx, &secretsmanager.GetSecretValueInput{SecretId: &c.arn})
		c.must(err)
		dated := map[bool]string{true: "dated"}[out.CreatedDate != nil]
		binary := map[bool]string{true: "no binary"}[out.SecretBinary == nil]
		return line(strings.Replace(*out.Name, c.name, "s", 1), c.alias(*out.VersionId), strings.Join(out.VersionStages, ","), dated, binary)
	}},
	{"get: a binary value", "00ff10", func(c *caller) string {
		_, err := c.client.CreateSecret(c.ctx, &secretsmanager.CreateSecretInput{Name: &c.name, SecretBinary: []byte{0, 255, 16}})
		c.must(err)
		return c.get("")
	}},
	{"get: the day of the last access is told once there was one", "never | known", func(c *caller) string {
		c.create("one")
		told := func() string {
			if c.describe().LastAccessedDate == nil {
				return "never"
			}
			return "known"
		}
		before := told()
		c.get("")
		return line(before, told())
	}},
}

var writing = []check{
	{"create: the first version is current", "v1=AWSCURRENT", func(c *caller) string {
		c.create("one")
		return c.labels()
	}},
	{"create: without a value there is no version", "no version", func(c *caller) string {
		out, err := c.client.CreateSecret(c.ctx, &secretsmanager.CreateSecretInput{Name: &c.name})
		c.must(err)
		if out.VersionId == nil && c.labels() == "" {
			return "no version"
		}
		return aws.ToString(out.VersionId) + c.labels()
	}},
	{"create: again with token and value is the same request", "v1 | v1=AWSCURRENT", func(c *caller) string {
		c.create("one")
		return line(c.createAgain(1, "one"), c.labels())
	}},
	{"create: again with another value", "ResourceExistsException", func(c *caller) string {
		c.create("one")
		return c.createAgain(1, "two")
	}},
	{"create: again with another token", "ResourceExistsException", func(c *caller) string {
		c.create("one")
		return c.createAgain(2, "one")
	}},
	{"create: a name with blanks", "ValidationException", func(c *caller) string {
		c.name += " or so"
		return c.createAgain(1, "one")
	}},
	{"create: text and bytes at once", "InvalidParameterException", func(c *caller) string {
		_, err := c.client.CreateSecret(c.ctx, &secretsmanager.CreateSecretInput{
			Name: &c.name, SecretString: aws.String("one"), SecretBinary: []byte("one"),
		})
		return c.failure(err, "ok")
	}},
	{"create: 64 KiB", "65536 bytes", func(c *caller) string {
		c.create(strings.Repeat("x", 65536))
		return fmt.Sprint(len(c.get("")), " bytes")
	}},
	{"create: more than 64 KiB", "ValidationException", func(c *caller) string {
		return c.createAgain(1, strings.Repeat("x", 65537))
	}},
	{"put: without labels the version becomes current", "v2=AWSCURRENT | two | one | v1=AWSPREVIOUS v2=AWSCURRENT", func(c *caller) string {
		c.create("one")
		return line(c.put(2, "two"), c.get(""), c.get("AWSPREVIOUS"), c.labels())
	}},
	{"put: with labels AWSCURRENT stays", "v2=AWSPENDING | one | two | v1=AWSCURRENT v2=AWSPENDING", func(c *caller) string {
		c.create("one")
		return line(c.put(2, "two", "AWSPENDING"), c.get(""), c.get("AWSPENDING"), c.labels())
	}},
	{"put: the first version is current whatever its labels", "v2=AWSCURRENT,AWSPENDING | two", func(c *caller) string {
		c.create("")
		return line(c.put(2, "two", "AWSPENDING"), c.get(""))
	}},
	{"put: again with token and value is the same request", "v2=AWSCURRENT | v1=AWSPREVIOUS v2=AWSCURRENT", func(c *caller) string {
		c.create("one")
		c.has(2, "two")
		return line(c.put(2, "two"), c.labels())
	}},
	{"put: again changes no labels", "v1= | v1= v2=AWSPREVIOUS v3=AWSCURRENT", func(c *caller) string {
		c.create("one")
		c.has(2, "two")
		c.has(3, "three")
		return line(c.put(1, "one"), c.versions(true))
	}},
	{"put: again with another value", "ResourceExistsException | two", func(c *caller) string {
		c.create("one")
		c.has(2, "two")
		return line(c.put(2, "other"), c.get(""))
	}},
	{"put: again with another value while pending", "ResourceExistsException | two", func(c *caller) string {
		c.create("one")
		c.has(2, "two", "AWSPENDING")
		return line(c.put(2, "other", "AWSPENDING"), c.get("AWSPENDING"))
	}},
	{"put: neither text nor bytes", "InvalidRequestException", func(c *caller) string {
		c.create("one")
		_, err := c.client.PutSecretValue(c.ctx, &secretsmanager.PutSecretValueInput{SecretId: &c.name})
		return c.failure(err, "ok")
	}},
	{"put: empty text", "InvalidRequestException", func(c *caller) string {
		c.create("one")
		return c.put(2, "")
	}},
	{"put: a token of less than 32 characters", "InvalidParameterException", func(c *caller) string {
		c.create("one")
		_, err := c.client.PutSecretValue(c.ctx, &secretsmanager.PutSecretValueInput{
			SecretId: &c.name, SecretString: aws.String("two"), ClientRequestToken: aws.String("short"),
		})
		return c.failure(err, "ok")
	}},
	{"put: a secret that is not there", "ResourceNotFoundException", func(c *caller) string {
		return c.put(1, "one")
	}},
	{"put: the 101st version within a day", "LimitExceededException", func(c *caller) string {
		c.create("one")
		for n := 2; n <= 100; n++ {
			c.has(n, "more")
		}
		return c.put(101, "too many")
	}},
	{"update: a new value becomes current", "v2 | v1=AWSPREVIOUS v2=AWSCURRENT | two", func(c *caller) string {
		c.create("one")
		return line(c.update(2, "two"), c.labels(), c.get(""))
	}},
	{"update: a token that is in use, with the same value", "ResourceExistsException", func(c *caller) string {
		c.create("one")
		return c.update(1, "one")
	}},
	{"update: a token that is in use, with another value", "ResourceExistsException | one", func(c *caller) string {
		c.create("one")
		return line(c.update(1, "two"), c.get(""))
	}},
	{"update: the description alone makes no version", "no version | hello | v1=AWSCURRENT", func(c *caller) string {
		c.create("one")
		out, err := c.client.UpdateSecret(c.ctx, &secretsmanager.UpdateSecretInput{SecretId: &c.name, Description: aws.String("hello")})
		c.must(err)
		return line(orNone(out.VersionId), aws.ToString(c.describe().Description), c.labels())
	}},
	{"update: the description can be emptied", "gone", func(c *caller) string {
		c.create("one")
		for _, text := range []string{"hello", ""} {
			_, err := c.client.UpdateSecret(c.ctx, &secretsmanager.UpdateSecretInput{SecretId: &c.name, Description: &text})
			c.must(err)
		}
		if text := aws.ToString(c.describe().Description); text != "" {
			return text
		}
		return "gone"
	}},
}

func orNone(id *string) string {
	if id == nil {
		return "no version"
	}
	return *id
}
