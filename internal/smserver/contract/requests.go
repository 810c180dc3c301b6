package contract

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// create makes the secret with the version v1, or without one if text is empty.
func (c *caller) create(text string) {
	c.t.Helper()
	in := &secretsmanager.CreateSecretInput{Name: &c.name, ClientRequestToken: c.v(1)}
	if text != "" {
		in.SecretString = &text
	}
	out, err := c.client.CreateSecret(c.ctx, in)
	c.must(err)
	c.arn = *out.ARN
}

func (c *caller) createAgain(version int, text string) string {
	c.t.Helper()
	out, err := c.client.CreateSecret(c.ctx, &secretsmanager.CreateSecretInput{
		Name: &c.name, ClientRequestToken: c.v(version), SecretString: &text,
	})
	if err != nil {
		return c.code(err)
	}
	return c.alias(aws.ToString(out.VersionId))
}

// put writes a version and says which labels it has then.
func (c *caller) put(version int, text string, labels ...string) string {
	c.t.Helper()
	out, err := c.client.PutSecretValue(c.ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &c.name, ClientRequestToken: c.v(version), SecretString: &text, VersionStages: labels,
	})
	if err != nil {
		return c.code(err)
	}
	return c.stages(map[string][]string{*out.VersionId: out.VersionStages})
}

// has is put for what a check builds on.
func (c *caller) has(version int, text string, labels ...string) {
	c.t.Helper()
	_, err := c.client.PutSecretValue(c.ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &c.name, ClientRequestToken: c.v(version), SecretString: &text, VersionStages: labels,
	})
	c.must(err)
}

func (c *caller) update(version int, text string) string {
	c.t.Helper()
	out, err := c.client.UpdateSecret(c.ctx, &secretsmanager.UpdateSecretInput{
		SecretId: &c.name, ClientRequestToken: c.v(version), SecretString: &text,
	})
	if err != nil {
		return c.code(err)
	}
	return c.alias(aws.ToString(out.VersionId))
}

// get reads the secret by a label, or as the service chooses if it is empty.
func (c *caller) get(label string) string {
	c.t.Helper()
	in := &secretsmanager.GetSecretValueInput{SecretId: &c.name}
	if label != "" {
		in.VersionStage = &label
	}
	return c.read(in)
}

func (c *caller) getVersion(version int, label string) string {
	c.t.Helper()
	in := &secretsmanager.GetSecretValueInput{SecretId: &c.name, VersionId: c.v(version)}
	if label != "" {
		in.VersionStage = &label
	}
	return c.read(in)
}

func (c *caller) getBy(id string) string {
	c.t.Helper()
	return c.read(&secretsmanager.GetSecretValueInput{SecretId: &id})
}

func (c *caller) read(in *secretsmanager.GetSecretValueInput) string {
	c.t.Helper()
	out, err := c.client.GetSecretValue(c.ctx, in)
	if err != nil {
		return c.code(err)
	}
	if out.SecretBinary != nil {
		return fmt.Sprintf("%x", out.SecretBinary)
	}
	return aws.ToString(out.SecretString)
}

// move takes a label from one version to another; 0 leaves one of them out.
func (c *caller) move(label string, from, to int) string {
	c.t.Helper()
	in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &c.name, VersionStage: &label}
	if from > 0 {
		in.RemoveFromVersionId = c.v(from)
	}
	if to > 0 {
		in.MoveToVersionId = c.v(to)
	}
	_, err := c.client.UpdateSecretVersionStage(c.ctx, in)
	return c.failure(err, "ok")
}

// describe is DescribeSecret, for what a check builds on.
func (c *caller) describe() *secretsmanager.DescribeSecretOutput {
	c.t.Helper()
	out, err := c.client.DescribeSecret(c.ctx, &secretsmanager.DescribeSecretInput{SecretId: &c.name})
	c.must(err)
	return out
}

// labels are those that DescribeSecret shows, without versions that have none.
func (c *caller) labels() string {
	c.t.Helper()
	all := c.describe().VersionIdsToStages
	maps.DeleteFunc(all, func(_ string, labels []string) bool { return len(labels) == 0 })
	return c.stages(all)
}

// versions are those that ListSecretVersionIds shows.
func (c *caller) versions(deprecated bool) string {
	c.t.Helper()
	out, err := c.client.ListSecretVersionIds(c.ctx, &secretsmanager.ListSecretVersionIdsInput{
		SecretId: &c.name, IncludeDeprecated: &deprecated,
	})
	if err != nil {
		return c.code(err)
	}
	all := map[string][]string{}
	for _, v := range out.Versions {
		all[*v.VersionId] = v.VersionStages
	}
	return c.stages(all)
}

func (c *caller) schedule() {
	c.t.Helper()
	_, err := c.client.DeleteSecret(c.ctx, &secretsmanager.DeleteSecretInput{SecretId: &c.name})
	c.must(err)
}

func (c *caller) delete(in secretsmanager.DeleteSecretInput) string {
	c.t.Helper()
	in.SecretId = &c.name
	_, err := c.client.DeleteSecret(c.ctx, &in)
	return c.failure(err, "ok")
}

// list names the secrets of a listing without the caller's prefix.
func (c *caller) list(in secretsmanager.ListSecretsInput) string {
	c.t.Helper()
	out, err := c.client.ListSecrets(c.ctx, &in)
	if err != nil {
		return c.code(err)
	}
	var names []string
	for _, s := range out.SecretList {
		if rest, ok := strings.CutPrefix(*s.Name, c.name); ok {
			names = append(names, "s"+rest)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}
