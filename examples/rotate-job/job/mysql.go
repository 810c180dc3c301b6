package job

import (
	"context"
	"database/sql"

	driver "github.com/go-sql-driver/mysql"

	"github.com/rekey-go/rekey/rotate/mysql"
)

// target: {mysql: {strategy: dual password, login: "tcp(db:3306)/orders?tls=true", admin: {env: ADMIN}}}
//
// MariaDB is the same.
func openMySQL(secret string, decode func(any) error) (*target, error) {
	var c struct {
		Strategy string   `yaml:"strategy"` // dual password, single user, alternating users
		Users    []string `yaml:"users"`    // alternating users: both
		Host     string   `yaml:"host"`     // of the accounts; empty: %
		Login    string   `yaml:"login"`    // a DSN of go-sql-driver without user and password
		Admin    origin   `yaml:"admin"`    // the rotator's own user
	}
	if err := decode(&c); err != nil {
		return nil, err
	}
	login, err := driver.ParseDSN(c.Login)
	if err != nil {
		return nil, wrong("login is not a DSN such as tcp(db.internal:3306)/orders?tls=true") // the error may quote it
	}
	if login.User != "" || login.Passwd != "" {
		return nil, wrong("login has a user or a password; the store has those")
	}
	admin, err := c.Admin.source()
	if err != nil {
		return nil, err
	}
	own := login.Clone()
	err = own.Apply(driver.BeforeConnect(func(ctx context.Context, to *driver.Config) error {
		credential, err := admin.Credential(ctx)
		to.User, to.Passwd = credential.Username, credential.Password.Reveal()
		return err
	}))
	if err != nil {
		return nil, wrong("login: %s", err)
	}
	connector, err := driver.NewConnector(own)
	if err != nil {
		return nil, wrong("login: %s", err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxIdleConns(0) // the credential is read anew for each session
	config := &mysql.Config{Admin: db, Login: login, Host: c.Host}
	t := &target{lock: mysql.Lock(config, secret), close: db.Close}
	switch c.Strategy {
	case "dual password":
		t.Target, err = mysql.DualPassword(config)
	case "single user":
		t.Target, err = mysql.SingleUser(config)
	case "alternating users":
		if len(c.Users) != 2 {
			err = wrong("alternating users are two: users has %d", len(c.Users))
			break
		}
		t.Target, err = mysql.Alternating(config, c.Users[0], c.Users[1])
	default:
		err = wrong("strategy is %q; it should be dual password, single user or alternating users", c.Strategy)
	}
	if err != nil {
		_ = db.Close() // nothing was opened
		return nil, wrong("%s", err)
	}
	return t, nil
}
