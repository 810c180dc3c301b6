package source_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/source"
)

func TestPermanent(t *testing.T) {
	require.NoError(t, source.Permanent(nil))
	assert.False(t, source.IsPermanent(nil))

	err := source.Permanent(io.EOF)
	assert.Equal(t, "EOF", err.Error())
	require.ErrorIs(t, err, io.EOF)

	field := &source.FieldError{Where: "secret/app", Field: "password", Problem: "is missing"}
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"plain":         {io.EOF, false},
		"marked":        {err, true},
		"wrapped":       {fmt.Errorf("a: %w", fmt.Errorf("b: %w", err)), true},
		"joined":        {errors.Join(io.ErrNoProgress, err), true},
		"twice":         {source.Permanent(err), true},
		"field":         {field, true},
		"field wrapped": {fmt.Errorf("a: %w", field), true},
		"field joined":  {errors.Join(io.EOF, fmt.Errorf("a: %w", field)), true},
		"plain join":    {errors.Join(io.EOF, io.ErrNoProgress), false},
	} {
		assert.Equal(t, c.want, source.IsPermanent(c.err), name)
	}
}

func TestFieldError(t *testing.T) {
	err := fmt.Errorf("fetching: %w", &source.FieldError{Where: "/etc/app.json", Field: "password", Problem: "is missing"})
	assert.Equal(t, `fetching: /etc/app.json: field "password" is missing`, err.Error())
	var field *source.FieldError
	require.ErrorAs(t, err, &field)
	assert.Equal(t, "password", field.Field)
}
