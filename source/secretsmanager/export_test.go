package secretsmanager

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/rekey-go/rekey/source"
)

// Parse makes a credential of a value as it would of a secret's.
func Parse(value string, o *Options) (source.Credential, error) {
	s := &Source{id: "app", opts: o.withDefaults()}
	return s.parse(current, source.NewSecret(value))
}

func Judge(s types.SecretListEntry, now time.Time, grace time.Duration) Rotation {
	return judge(s, now, grace)
}

var Rate = rate
