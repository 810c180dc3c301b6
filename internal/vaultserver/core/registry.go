package main

import (
	"slices"

	"github.com/hashicorp/vault/plugins/database/mysql"
	"github.com/hashicorp/vault/plugins/database/postgresql"
	"github.com/hashicorp/vault/sdk/helper/consts"
)

// plugins are the database plugins that run inside the server.
var plugins = map[string]func() (any, error){
	"postgresql-database-plugin": postgresql.New,
	"mysql-database-plugin":      mysql.New(mysql.DefaultUserNameTemplate),
}

// registry tells Vault which plugins are built in.
type registry struct{}

// Get implements plugincatalog.BuiltinRegistry.
func (registry) Get(name string, kind consts.PluginType) (func() (any, error), bool) {
	if kind != consts.PluginTypeDatabase {
		return nil, false
	}
	plugin, ok := plugins[name]
	return plugin, ok
}

// Contains implements plugincatalog.BuiltinRegistry. The engines and methods
// that are given to the core count as built in, too.
func (r registry) Contains(name string, kind consts.PluginType) bool {
	return slices.Contains(r.Keys(kind), name)
}

// Keys implements plugincatalog.BuiltinRegistry.
func (registry) Keys(kind consts.PluginType) []string {
	switch kind {
	case consts.PluginTypeDatabase:
		names := make([]string, 0, len(plugins))
		for name := range plugins {
			names = append(names, name)
		}
		return names
	case consts.PluginTypeSecrets:
		return []string{"database", "kv"}
	case consts.PluginTypeCredential:
		return []string{"approle", "userpass"}
	default:
		return nil
	}
}

// DeprecationStatus implements plugincatalog.BuiltinRegistry.
func (r registry) DeprecationStatus(name string, kind consts.PluginType) (consts.DeprecationStatus, bool) {
	if r.Contains(name, kind) {
		return consts.Supported, true
	}
	return consts.Unknown, false
}

// IsBuiltinEntPlugin implements plugincatalog.BuiltinRegistry.
func (registry) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }
