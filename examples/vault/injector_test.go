package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/examples/vault/setup"
)

var indented = regexp.MustCompile(`(?m)^ +`)

// The template that the injector is given is the one that TestAgentWritesAFile
// runs through the agent, and it reads what the policy allows.
func TestInjectorHasTheTemplateOfTheAgent(t *testing.T) {
	_, contents, found := strings.Cut(setup.Agent, "<<-EOT\n")
	require.True(t, found)
	contents, _, found = strings.Cut(contents, "  EOT")
	require.True(t, found)
	for _, name := range []string{"injector.yaml", "injector-sighup.yaml"} {
		file, err := os.ReadFile("../kubernetes/" + name)
		require.NoError(t, err)
		_, template, found := strings.Cut(string(file), "agent-inject-template-database.json: |\n")
		require.True(t, found)
		require.True(t, strings.HasPrefix(indented.ReplaceAllString(template, ""), indented.ReplaceAllString(contents, "")))
		require.Contains(t, string(file), "agent-inject-secret-database.json: "+setup.Path+"\n")
	}
}

// The README shows these files as they are, too.
func TestReadmeShowsTheOtherFiles(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	for _, name := range []string{"audit/leases.sh", "audit/policy.hcl", "audit/users.sql"} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Contains(t, string(readme), "("+name+")", "a link")
		require.Contains(t, string(readme), "\n"+string(text)+"```\n", name)
	}
}
