package document_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/rekey-go/rekey/rotate/document"
)

// Processes that change a document at once do so one after the other.
func ExampleFile() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "lines.txt")
	file := document.File(path, 0o600)
	for _, line := range []string{"one\n", "two\n"} {
		err := document.Change(context.Background(), file, func(old []byte) ([]byte, error) {
			return append(old, line...), nil
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(text))
	// Output:
	// one
	// two
}
