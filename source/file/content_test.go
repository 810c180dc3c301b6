package file_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/file"
)

func TestF35_BadContent(t *testing.T) {
	const big = 10 << 20
	match := func(path string, opts *file.Options) *file.Source { return file.Pgpass(path, file.Match{}, opts) }
	custom := func(path string, opts *file.Options) *file.Source { return file.Custom(path, parseLines, opts) }
	for name, c := range map[string]struct {
		open    func(string, *file.Options) *file.Source
		content string
		field   string // of a FieldError; empty: a SyntaxError on line
		line    int
	}{
		"JSON no value":        {file.JSON, `{"username":"app","password":"<no value>","x":"CANARY"}`, "password", 0},
		"JSON no value within": {file.JSON, `{"username":"CANARY<no value>","password":"CANARY"}`, "username", 0},
		"JSON no value beside": {file.JSON, "{\"username\":\"app\",\n\"password\":\"CANARY\",\n\"CANARY\":\"<no value>\"}", "", 3},
		"JSON no password":     {file.JSON, `{"username":"CANARY"}`, "password", 0},
		"JSON empty password":  {file.JSON, `{"username":"CANARY","password":""}`, "password", 0},
		"JSON no user":         {file.JSON, `{"password":"CANARY"}`, "username", 0},
		"JSON empty user":      {file.JSON, `{"user":"","password":"CANARY"}`, "user", 0},
		"JSON number password": {file.JSON, `{"username":"CANARY","password":8812394}`, "password", 0},
		"JSON null password":   {file.JSON, `{"username":"CANARY","password":null}`, "password", 0},
		"JSON array user":      {file.JSON, `{"username":["CANARY"],"password":"CANARY"}`, "username", 0},
		"JSON object beside":   {file.JSON, `{"CANARY":{"CANARY":"CANARY"}}`, "", 1},
		"JSON null beside":     {file.JSON, `{"CANARY":null}`, "", 1},
		"JSON twice":           {file.JSON, `{"password":"CANARY","password":"CANARY"}`, "password", 0},
		"JSON twice beside":    {file.JSON, `{"CANARY":"CANARY","CANARY":"CANARY"}`, "", 1},
		"JSON array":           {file.JSON, `["CANARY"]`, "", 1},
		"JSON null":            {file.JSON, `null`, "", 1},
		"JSON text":            {file.JSON, "\n\nCANARY", "", 3},
		"JSON text within":     {file.JSON, "{\n\"username\": CANARY}", "", 2},
		"JSON behind":          {file.JSON, `{"username":"app","password":"CANARY"} CANARY`, "", 1},
		"JSON two":             {file.JSON, `{"username":"app","password":"CANARY"}{"CANARY":1}`, "", 1},
		"JSON trailing comma":  {file.JSON, `{"username":"app","password":"CANARY",}`, "", 1},
		"JSON not UTF-8":       {file.JSON, "{\"username\":\"app\",\"password\":\"CANARY\xff\"}", "", 1},
		"JSON NUL":             {file.JSON, `{"username":"CANARY","password":"CANARY\u0000"}`, "password", 0},
		"JSON NUL user":        {file.JSON, `{"username":"CANARY\u0000","password":"CANARY"}`, "username", 0},

		"dotenv no value":     {file.Dotenv, "PGUSER=app\nPGPASSWORD=<no value>\nX=CANARY", "PGPASSWORD", 0},
		"dotenv beside":       {file.Dotenv, "PGUSER=app\r\nPGPASSWORD=CANARY\r\nCANARY=<no value>", "", 3},
		"dotenv no password":  {file.Dotenv, "PGUSER=CANARY", "PGPASSWORD", 0},
		"dotenv empty":        {file.Dotenv, "PGUSER=CANARY\nPGPASSWORD=''", "PGPASSWORD", 0},
		"dotenv no user":      {file.Dotenv, "PGPASSWORD=CANARY", "PGUSER", 0},
		"dotenv comments":     {file.Dotenv, "# CANARY", "PGUSER", 0},
		"dotenv not UTF-8":    {file.Dotenv, "PGUSER=CANARY\xff\nPGPASSWORD=CANARY", "PGUSER", 0},
		"dotenv no equals":    {file.Dotenv, "PGUSER=app\nCANARY", "", 2},
		"dotenv no name":      {file.Dotenv, "PGUSER=app\n\n=CANARY", "", 3},
		"dotenv odd name":     {file.Dotenv, "CANARY'S=1", "", 1},
		"dotenv quote":        {file.Dotenv, "PGUSER=app\nPGPASSWORD=\"CANARY\\\"\n\n", "", 2},
		"dotenv single quote": {file.Dotenv, "PGPASSWORD='CANARY\n", "", 1},
		"dotenv behind":       {file.Dotenv, "A='1\n2'\nPGPASSWORD='CAN'CANARY", "", 3},

		"pgpass no value": {match, "db:1:x:app:<no value>CANARY", "password", 0},
		"pgpass empty":    {match, "db:1:x:CANARY:", "password", 0},
		"pgpass NUL":      {match, "db:1:x:CANARY:CANARY\x00", "password", 0},
		"pgpass no user":  {match, "db:1:x::CANARY", "username", 0},

		"custom no user": {custom, "\nCANARY", "username", 0},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, filepath.Join(t.TempDir(), "db"), c.content)
			got, err := c.open(path, nil).Credential(t.Context())
			require.Error(t, err)
			assert.True(t, got.Same(source.Credential{}))
			for _, verb := range []string{"%v", "%+v", "%#v"} {
				assert.NotContains(t, fmt.Sprintf(verb, err), "CANARY")
				assert.NotContains(t, fmt.Sprintf(verb, err), "8812394")
			}
			var field *source.FieldError
			var syntax *file.SyntaxError
			if c.field != "" {
				require.ErrorAs(t, err, &field)
				assert.Equal(t, c.field, field.Field)
				assert.Equal(t, path, field.Where)
			} else {
				require.ErrorAs(t, err, &syntax)
				assert.Equal(t, c.line, syntax.Line)
				assert.Equal(t, path, syntax.Path)
			}
		})
	}

	t.Run("dir", func(t *testing.T) {
		for field, files := range map[string]map[string]string{
			"password": {"username": "CANARY", "password": "<no value>"},
			"username": {"username": "\xffCANARY", "password": "CANARY"},
			"host":     {"username": "CANARY", "password": "CANARY", "host": "<no value>"},
		} {
			v := volume{dir: t.TempDir()}
			require.NoError(t, v.swap(files))
			_, err := file.Dir(v.dir, nil).Credential(t.Context())
			var fieldErr *source.FieldError
			require.ErrorAs(t, err, &fieldErr)
			assert.Equal(t, field, fieldErr.Field)
			assert.NotContains(t, err.Error(), "CANARY")
		}
		v := volume{dir: t.TempDir()}
		require.NoError(t, v.swap(login("app", "\n")))
		_, err := file.Dir(v.dir, nil).Credential(t.Context())
		var fieldErr *source.FieldError
		require.ErrorAs(t, err, &fieldErr, "a line break alone is an empty password")
	})

	t.Run("10 MB", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "db")
		write(t, path, jsonOf("app", canary))
		require.NoError(t, os.Truncate(path, big))
		src := file.JSON(path, nil)
		_, err := src.Credential(t.Context())
		require.ErrorIs(t, err, file.ErrTooLarge)
		assert.True(t, source.IsPermanent(err))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = src.Credential(t.Context())
		runtime.ReadMemStats(&after)
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(big/2), "it is not read")

		write(t, path, jsonOf("app", canary))
		read(t, src)
		_, err = file.JSON(path, &file.Options{MaxSize: 8}).Credential(t.Context())
		require.ErrorIs(t, err, file.ErrTooLarge)
	})
	t.Run("large directory", func(t *testing.T) {
		v := volume{dir: t.TempDir()}
		require.NoError(t, v.swap(map[string]string{"a": strings.Repeat("a", 60), "username": "app", "password": strings.Repeat("p", 60)}))
		_, err := file.Dir(v.dir, &file.Options{MaxSize: 100}).Credential(t.Context())
		require.ErrorIs(t, err, file.ErrTooLarge)
		assert.Contains(t, err.Error(), "100 bytes")
	})
}
