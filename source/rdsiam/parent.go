package rdsiam

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/rekey-go/rekey/source"
)

// parent returns the credentials to sign with. Those that a cache holds are
// asked for once more if they are about to end, or if the database has
// rejected, before its time, what they have signed.
func (t *tokens) parent(ctx context.Context, now time.Time) (aws.Credentials, error) {
	parent, err := t.retrieve(ctx)
	if err != nil {
		return parent, err
	}
	suspect := source.CacheBypassed(ctx) && t.lastSigned().live(parent, now)
	ending := endsBy(parent, now.Add(nearEnd)) && !endsBy(parent, now) // of those that have ended a cache asks by itself
	if cache, ok := t.parents.(interface{ Invalidate() }); ok && (suspect || ending) {
		cache.Invalidate()
		again, err := t.retrieve(ctx)
		switch {
		case err == nil:
			parent = again
		case suspect:
			return parent, err
		}
	}
	if endsBy(parent, now) {
		return parent, t.failed(Ended, fmt.Sprintf("the provider gave credentials that ended at %s; "+
			"log in to AWS again, or mend what renews them or this machine's clock", parent.Expires.Format(time.RFC3339)), nil, parent)
	}
	return parent, nil
}

// retrieve asks the provider, which may be a cache.
func (t *tokens) retrieve(ctx context.Context) (aws.Credentials, error) {
	parent, err := t.parents.Retrieve(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return parent, ctx.Err()
	case err != nil:
		return parent, t.failed(Unavailable, "", err, parent)
	case !parent.HasKeys():
		return parent, source.Permanent(t.failed(NoCredentials,
			"the provider gave credentials without an access key; signing needs both the key's ID and its secret", nil, parent))
	}
	return parent, nil
}

// live reports whether s is signed by parent and should still be good.
func (s signed) live(parent aws.Credentials, now time.Time) bool {
	return s.by(parent) && now.Before(s.Expires)
}

// endsBy reports whether parent has ended at t.
func endsBy(parent aws.Credentials, t time.Time) bool {
	return parent.CanExpire && !t.Before(parent.Expires)
}
