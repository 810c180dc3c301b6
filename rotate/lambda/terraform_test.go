package lambda_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate/lambda"
)

// A deployment is what terraform/ says. It is parsed, not applied.
type deployment struct {
	*testing.T
	blocks []*hclsyntax.Block
}

func newDeployment(t *testing.T) *deployment {
	t.Helper()
	d := &deployment{T: t}
	files, err := filepath.Glob("terraform/*.tf")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, path := range files {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		d.blocks = append(d.blocks, parseHCL(t, path, text).Blocks...)
	}
	return d
}

func parseHCL(t *testing.T, name string, text []byte) *hclsyntax.Body {
	t.Helper()
	file, diags := hclsyntax.ParseConfig(text, name, hcl.InitialPos)
	require.False(t, diags.HasErrors(), diags.Error())
	return file.Body.(*hclsyntax.Body)
}

// block returns the body of the one with this type and these labels.
func (d *deployment) block(labels ...string) *hclsyntax.Body {
	d.Helper()
	for _, b := range d.blocks {
		if slices.Equal(labels, append([]string{b.Type}, b.Labels...)) {
			return b.Body
		}
	}
	d.Fatalf("there is no %v", labels)
	return nil
}

// inside returns the bodies of the blocks in one, those of dynamic ones too.
func inside(b *hclsyntax.Body, kind string) (all []*hclsyntax.Body) {
	for _, inner := range b.Blocks {
		switch {
		case inner.Type == kind:
			all = append(all, inner.Body)
		case inner.Type == "dynamic" && inner.Labels[0] == kind:
			all = append(all, inside(inner.Body, "content")...)
		}
	}
	return all
}

// text is a value that is written down as such.
func (d *deployment) text(b *hclsyntax.Body, name string) string {
	d.Helper()
	require.Contains(d, b.Attributes, name)
	v, diags := b.Attributes[name].Expr.Value(nil)
	require.False(d, diags.HasErrors(), diags.Error())
	return v.AsString()
}

// texts is a list of such values, sorted.
func (d *deployment) texts(b *hclsyntax.Body, name string) (all []string) {
	d.Helper()
	require.Contains(d, b.Attributes, name)
	v, diags := b.Attributes[name].Expr.Value(nil)
	require.False(d, diags.HasErrors(), diags.Error())
	for _, v := range v.AsValueSlice() {
		all = append(all, v.AsString())
	}
	slices.Sort(all)
	return all
}

// refers lists what an expression refers to: var.a, data.b.c.d, aws_e.f.g.
func refers(e hclsyntax.Expression) (all []string) {
	for _, traversal := range e.Variables() {
		var path []string
		for _, step := range traversal {
			switch step := step.(type) {
			case hcl.TraverseRoot:
				path = append(path, step.Name)
			case hcl.TraverseAttr:
				path = append(path, step.Name)
			}
		}
		all = append(all, strings.Join(path, "."))
	}
	return all
}

// statements are those of the function's policy, by sid.
func (d *deployment) statements() map[string]*hclsyntax.Body {
	d.Helper()
	all := make(map[string]*hclsyntax.Body)
	for _, s := range inside(d.block("data", "aws_iam_policy_document", "rotate"), "statement") {
		all[d.text(s, "sid")] = s
	}
	return all
}

// The policy allows what the program asks for in a rotation, and nothing else.
func TestTerraformPolicyIsWhatTheProgramAsksFor(t *testing.T) {
	d := newDeployment(t)
	policy := d.statements()
	for sid, resource := range map[string]string{"Secret": "var.secret_arn", "Master": "statement.value", "Keys": "statement.value", "Log": "aws_cloudwatch_log_group.rotate.arn"} {
		require.Equal(t, []string{resource}, refers(policy[sid].Attributes["resources"].Expr), sid)
	}
	require.Len(t, policy, 6)
	require.Equal(t, []string{"kms:Decrypt", "kms:GenerateDataKey"}, d.texts(policy["Keys"], "actions"))
	require.Equal(t, "Deny", d.text(policy["NetworkNotByTheFunction"], "effect"))
	require.Equal(t, d.texts(policy["Network"], "actions"), d.texts(policy["NetworkNotByTheFunction"], "actions"))
	for sid, s := range policy {
		if sid != "NetworkNotByTheFunction" {
			require.NotContains(t, s.Attributes, "effect", sid)
		}
		for _, action := range d.texts(s, "actions") {
			require.NotContains(t, action, "*", sid)
		}
	}

	each(t, func(s *scene) {
		_, l := s.current()
		for i := range 2 {
			require.NoError(s, s.rotate(token(i)))
			l = s.done(token(i), l)
		}
		require.Equal(s, d.texts(policy["Secret"], "actions"), s.gate.operations(s.secret))
		want := []string{s.secret}
		if s.master != "" {
			want = append(want, s.master)
			require.Equal(s, d.texts(policy["Master"], "actions"), s.gate.operations(s.master))
		}
		require.ElementsMatch(s, want, s.gate.secrets(), "and nobody else is asked about")
	})
}

// read is what the program reads of its environment.
func read(t *testing.T) map[string]bool {
	t.Helper()
	all := make(map[string]bool)
	_, err := lambda.FromEnvironment(nil, func(name string) string {
		all[name] = true
		return map[string]string{"REKEY_STRATEGY": "single", "REKEY_SECRETS": "arn:aws:secretsmanager:…"}[name]
	})
	require.NoError(t, err)
	return all
}

func TestTerraformSetsWhatTheProgramReads(t *testing.T) {
	d := newDeployment(t)
	names := read(t)
	variables, ok := inside(d.block("resource", "aws_lambda_function", "rotate"), "environment")[0].Attributes["variables"].Expr.(*hclsyntax.ObjectConsExpr)
	require.True(t, ok)
	var set []string
	for _, item := range variables.Items {
		name := hcl.ExprAsKeyword(item.KeyExpr)
		set = append(set, name)
		require.True(t, names[name], "the program does not read %s", name)
	}
	require.Subset(t, set, []string{"REKEY_SECRETS", "REKEY_STRATEGY", "REKEY_USERS", "REKEY_GROUP", "REKEY_CA_FILE"})
	for _, path := range []string{"environment.go", "terraform/README.md"} {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for name := range names {
			require.Contains(t, string(text), name, path)
		}
	}
}

func TestTerraformLetsOnlySecretsManagerCall(t *testing.T) {
	d := newDeployment(t)
	permission := d.block("resource", "aws_lambda_permission", "secretsmanager")
	require.Equal(t, "secretsmanager.amazonaws.com", d.text(permission, "principal"))
	require.Equal(t, "lambda:InvokeFunction", d.text(permission, "action"))
	require.Equal(t, []string{"data.aws_caller_identity.current.account_id"}, refers(permission.Attributes["source_account"].Expr))
	function := d.block("resource", "aws_lambda_function", "rotate")
	require.Equal(t, "provided.al2023", d.text(function, "runtime"))
	require.Equal(t, "bootstrap", d.text(function, "handler"))
	require.Equal(t, []string{"aws_security_group.rotate.id"}, refers(inside(function, "vpc_config")[0].Attributes["security_group_ids"].Expr))
	rotation := d.block("resource", "aws_secretsmanager_secret_rotation", "rotate")
	require.Equal(t, []string{"aws_lambda_function.rotate.arn"}, refers(rotation.Attributes["rotation_lambda_arn"].Expr))
	require.Contains(t, refers(rotation.Attributes["depends_on"].Expr), "aws_lambda_permission.secretsmanager")
	rules := inside(rotation, "rotation_rules")[0]
	require.Contains(t, rules.Attributes, "schedule_expression")
	require.Contains(t, rules.Attributes, "duration")
	for _, b := range d.blocks {
		if b.Type == "resource" && b.Labels[0] == "aws_vpc_security_group_egress_rule" {
			require.NotContains(t, b.Body.Attributes, "cidr_ipv4", "the function reaches groups, not the world")
			require.Contains(t, b.Body.Attributes, "referenced_security_group_id")
		}
	}
}

// Everything that is referred to is there, every variable is used, and README's
// values are enough.
func TestTerraformIsWhole(t *testing.T) {
	d := newDeployment(t)
	declared, required, used := make(map[string]bool), make(map[string]bool), make(map[string]bool)
	for _, b := range d.blocks {
		switch b.Type {
		case "resource":
			declared[strings.Join(b.Labels, ".")] = true
		case "data":
			declared["data."+strings.Join(b.Labels, ".")] = true
		case "variable":
			declared["var."+b.Labels[0]] = true
			required[b.Labels[0]] = b.Body.Attributes["default"] == nil
		case "locals":
			for name := range b.Body.Attributes {
				declared["local."+name] = true
			}
		}
	}
	for _, b := range d.blocks {
		if b.Type == "variable" {
			continue
		}
		diags := hclsyntax.VisitAll(b.Body, func(n hclsyntax.Node) hcl.Diagnostics {
			e, ok := n.(hclsyntax.Expression)
			if !ok {
				return nil
			}
			for _, path := range refers(e) {
				parts := strings.Split(path, ".")
				switch parts[0] {
				case "statement": // of a dynamic block
					continue
				case "data":
					parts = parts[:3]
				default:
					parts = parts[:min(len(parts), 2)]
				}
				used[strings.Join(parts, ".")] = true
			}
			return nil
		})
		require.False(t, diags.HasErrors())
	}
	for name := range used {
		if strings.Contains(name, ".") { // else the key of an object
			require.True(t, declared[name], "%s is not declared", name)
		}
	}
	for name := range declared {
		if strings.HasPrefix(name, "var.") || strings.HasPrefix(name, "local.") {
			require.True(t, used[name], "%s is not used", name)
		}
	}

	readme, err := os.ReadFile("terraform/README.md")
	require.NoError(t, err)
	_, block, _ := strings.Cut(string(readme), "```hcl\n")
	block, _, _ = strings.Cut(block, "```")
	values := parseHCL(t, "terraform.tfvars", []byte(block)).Attributes
	for name := range values {
		require.Contains(t, required, name)
	}
	for name, needed := range required {
		if needed {
			require.Contains(t, values, name)
		}
	}
}
