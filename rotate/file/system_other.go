//go:build !unix

package file

import (
	"context"
	"io/fs"
	"os"

	"github.com/rekey-go/rekey/source"
)

// lock refuses: without it two processes could rotate at once.
func lock(context.Context, string) (unlock func(), err error) {
	return nil, source.Permanent(&fs.PathError{Op: "flock", Err: fs.ErrInvalid})
}

func own(*os.File, fs.FileInfo) {}

func syncDir(string) error { return nil }
