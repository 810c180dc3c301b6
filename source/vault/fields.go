package vault

import (
	"fmt"
	"strings"

	"github.com/rekey-go/rekey/internal/fields"
	"github.com/rekey-go/rekey/source"
)

// login reads user name and password from what the answer of path holds.
func (o *Options) login(path string, data map[string]any) (source.Credential, error) {
	if data == nil {
		return source.Credential{}, &source.FieldError{Where: "vault: " + path, Field: "data", Problem: "is missing from the answer"}
	}
	return o.names().Login("vault: "+path, data)
}

// others adds what else data holds to c.
func (o *Options) others(c source.Credential, data map[string]any) source.Credential {
	return o.names().Others(c, data)
}

func (o *Options) names() fields.Names {
	return fields.Names{Username: o.UsernameField, Password: o.PasswordField, OptionalUsername: o.AllowNoUsername}
}

// cleanPath takes the slashes off that people write around paths.
func cleanPath(path string) (string, error) {
	clean := strings.Trim(path, "/")
	switch {
	case clean == "":
		return "", source.Permanent(fmt.Errorf("vault: the path %q is empty", path))
	case strings.ContainsAny(clean, "?#\x00"), strings.Contains("/"+clean+"/", "/../"), strings.Contains("/"+clean+"/", "/./"), strings.Contains(clean, "//"):
		return "", source.Permanent(fmt.Errorf("vault: the path %q cannot be one of Vault's", path))
	}
	return clean, nil
}
