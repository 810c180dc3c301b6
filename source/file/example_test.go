package file_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/file"
)

// inTemp writes content to name in a new directory and returns its path.
func inTemp(name, content string) (path string, remove func()) {
	dir, err := os.MkdirTemp("", "rekey")
	if err != nil {
		panic(err)
	}
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		panic(err)
	}
	return path, func() { _ = os.RemoveAll(dir) }
}

func ExampleJSON() {
	path, remove := inTemp("db.json", `{"username":"app","password":"correct horse","port":5432}`)
	defer remove()

	src := file.JSON(path, nil)
	c, err := src.Credential(context.Background())
	port, _ := c.Field("port")
	fmt.Println(c.Username, c.Password, port.Reveal(), err)
	// Output: app [redacted] 5432 <nil>
}

func ExampleDotenv() {
	path, remove := inTemp(".env", "export DB_USER=app\nDB_PASSWORD='correct # horse'\n")
	defer remove()

	src := file.Dotenv(path, &file.Options{UsernameField: "DB_USER", PasswordField: "DB_PASSWORD"})
	c, err := src.Credential(context.Background())
	fmt.Println(c.Username, c.Password.Reveal(), err)
	// Output: app correct # horse <nil>
}

func ExampleDir() {
	// In production the directory is where a Kubernetes Secret is mounted.
	path, remove := inTemp("username", "app\n")
	defer remove()

	src := file.Dir(filepath.Dir(path), nil)
	_, err := src.Credential(context.Background())
	var field *source.FieldError
	fmt.Println(errors.As(err, &field), field.Field, field.Problem)
	// Output: true password is missing or empty; it should hold the password
}

func ExamplePgpass() {
	path, remove := inTemp(".pgpass", "db.internal:5432:*:app:correct\\:horse\n*:*:*:*:other\n")
	defer remove()

	src := file.Pgpass(path, file.Match{Host: "db.internal", Port: "5432", Database: "orders"}, nil)
	c, err := src.Credential(context.Background())
	fmt.Println(c.Username, c.Password.Reveal(), err)
	// Output: app correct:horse <nil>
}

func ExampleCustom() {
	path, remove := inTemp("db", "app 636f7272656374\n")
	defer remove()

	src := file.Custom(path, func(data []byte) (source.Credential, error) {
		username, encoded, _ := strings.Cut(strings.TrimSpace(string(data)), " ")
		password, err := hex.DecodeString(encoded)
		if err != nil {
			return source.Credential{}, errors.New("the password is not hexadecimal")
		}
		return source.Credential{Username: username, Password: source.NewSecret(string(password))}, nil
	}, nil)
	c, err := src.Credential(context.Background())
	fmt.Println(c.Username, c.Password.Reveal(), err)
	// Output: app correct <nil>
}

func ExampleSource_Watch() {
	path, remove := inTemp("db.json", `{"username":"app","password":"before"}`)
	defer remove()

	src := file.JSON(path, nil)
	changed := make(chan struct{}, 1)
	stop := src.Watch(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	defer stop()
	_ = os.WriteFile(path+".new", []byte(`{"username":"app","password":"after"}`), 0o600)
	_ = os.Rename(path+".new", path)
	<-changed
	c, err := src.Credential(context.Background())
	fmt.Println(c.Password.Reveal(), err)
	// Output: after <nil>
}
