package rekey_test

import (
	"bufio"
	"bytes"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every block of Go in README.md, below docs and below examples is type-checked. A block is a whole
// file, declarations, an expression, or statements of a function that has a
// ctx and returns an error. What it takes for granted stands in a comment before it that no
// reader sees: parameters, and the imports that usual leaves open, behind semicolons.
//
//	<!-- go: db *pool.ManagedPool, fetch func() string; import "github.com/rekey-go/rekey/rotate/file" -->
func TestCodeInPagesCompiles(t *testing.T) {
	fset := token.NewFileSet()
	var blocks []*block
	for _, page := range pages(t) {
		for _, b := range blocksOf(t, page) {
			require.NoError(t, b.parse(fset), "%s:%d", b.page, b.line)
			blocks = append(blocks, b)
		}
	}
	require.Greater(t, len(blocks), 30)

	imports := map[string]bool{}
	for _, b := range blocks {
		for _, spec := range b.file.Imports {
			imports[importPath(spec)] = true
		}
	}
	conf := types.Config{Importer: compiled(t, fset, imports)}
	for _, b := range blocks {
		conf.Error = func(err error) {
			var e types.Error
			require.ErrorAs(t, err, &e)
			if !e.Soft || b.whole { // soft: not used
				t.Errorf("%s: %s", b.at(e.Fset.Position(e.Pos).Line), e.Msg)
			}
		}
		_, _ = conf.Check("page", fset, []*ast.File{b.file}, nil)
	}
}

const rekey = "github.com/rekey-go/rekey/"

// What fragments mean by a package's name unless they say otherwise.
var usual = byName(
	"context", "crypto/tls", "database/sql", "errors", "fmt", "log", "log/slog", "net/http", "os", "sync", "testing", "time",
	"github.com/aws/aws-sdk-go-v2/aws", "github.com/aws/aws-sdk-go-v2/config", "github.com/hashicorp/vault/api",
	"github.com/jackc/pgx/v5", "github.com/jackc/pgx/v5/pgxpool",
	rekey+"source", rekey+"source/file", rekey+"source/rdsiam", rekey+"source/secretsmanager", rekey+"source/vault",
	rekey+"refresh", rekey+"pool", rekey+"pool/mysql", rekey+"pool/pooltest", rekey+"pool/verify",
	rekey+"rotate", rekey+"rotate/generate", rekey+"rotate/postgres", rekey+"rotate/schedule",
)

var major = regexp.MustCompile(`/v[0-9]+$`)

func byName(paths ...string) map[string]string {
	names := map[string]string{}
	for _, p := range paths {
		names[path.Base(major.ReplaceAllString(p, ""))] = p
	}
	return names
}

func pages(t *testing.T) []string {
	all := []string{"README.md"}
	for _, dir := range []string{"docs", "examples"} {
		require.NoError(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			if filepath.Ext(path) == ".md" {
				all = append(all, path)
			}
			return err
		}))
	}
	return all
}

type block struct {
	page  string
	line  int // of the page, where the code begins
	code  string
	given string // what the comment before it says

	file   *ast.File
	before int  // lines that parse has put before the code
	whole  bool // a whole file: all that it declares and imports is used
}

var given = regexp.MustCompile(`^<!-- go: (.*) -->$`)

func blocksOf(t *testing.T, page string) (blocks []*block) {
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	said, in := "", (*block)(nil)
	for n, line := range strings.Split(string(text), "\n") {
		switch m := given.FindStringSubmatch(line); {
		case in != nil && line == "```":
			blocks, in, said = append(blocks, in), nil, ""
		case in != nil:
			in.code += line + "\n"
		case m != nil:
			said = m[1]
		case line == "```go":
			in = &block{page: page, line: n + 2, given: said}
		}
	}
	require.Nil(t, in, page)
	return blocks
}

func (b *block) at(line int) string { return fmt.Sprintf("%s:%d", b.page, b.line+line-1-b.before) }

func (b *block) parse(fset *token.FileSet) error {
	var params, specs []string
	for part := range strings.SplitSeq(b.given, ";") {
		part = strings.TrimSpace(part)
		if spec, ok := strings.CutPrefix(part, "import "); ok {
			specs = append(specs, spec)
		} else if part != "" {
			params = append(params, part)
		}
	}
	params = append(params, "ctx context.Context")
	head := "func _(" + strings.Join(params, ", ") + ") error {{\n"
	if _, err := parser.ParseExpr(b.code); err == nil {
		head += "_ = "
	}
	var err error
	for _, form := range []struct{ before, after string }{
		{"", ""},
		{"package page\n", ""},
		{"package page\n" + head, "}; panic(0) }"},
	} {
		b.before, b.whole = strings.Count(form.before, "\n"), form.before == ""
		b.file, err = parser.ParseFile(fset, b.page, form.before+b.code+form.after, 0)
		if err == nil {
			break
		}
	}
	if err != nil || b.whole {
		return err
	}
	b.imports(specs)
	return nil
}

// imports gives a fragment the imports that it names or that are usual.
func (b *block) imports(specs []string) {
	decl := &ast.GenDecl{Tok: token.IMPORT}
	add := func(name, path string) {
		spec := &ast.ImportSpec{Name: ast.NewIdent(name), Path: &ast.BasicLit{Kind: token.STRING, Value: strconv.Quote(path)}}
		b.file.Imports, decl.Specs = append(b.file.Imports, spec), append(decl.Specs, spec)
	}
	done := map[string]bool{}
	for _, spec := range specs {
		name, quoted, named := strings.Cut(spec, " ")
		if !named {
			quoted = name
		}
		p := strings.Trim(quoted, `"`)
		if !named {
			name = path.Base(p)
		}
		add(name, p)
		done[name] = true
	}
	for _, id := range b.file.Unresolved {
		if p := usual[id.Name]; p != "" && !done[id.Name] {
			add(id.Name, p)
			done[id.Name] = true
		}
	}
	b.file.Decls = slices.Insert(b.file.Decls, 0, ast.Decl(decl))
}

func importPath(spec *ast.ImportSpec) string { return strings.Trim(spec.Path.Value, `"`) }

// compiled returns an importer that knows the packages and all that they import,
// as the compiler sees them.
func compiled(t *testing.T, fset *token.FileSet, packages map[string]bool) types.Importer {
	args := []string{"list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}", "--"}
	for p := range packages {
		args = append(args, p)
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	files := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		p, file, _ := strings.Cut(lines.Text(), " ")
		files[p] = file
	}
	return importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(files[path]) })
}
