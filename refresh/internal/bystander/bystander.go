// Package bystander attaches to a refresher who uses its credential and has no say about
// it: for the pins, by which a doubt is told.
package bystander

import (
	"context"

	"github.com/rekey-go/rekey/refresh"
)

// Attach attaches a consumer whom every credential suits.
func Attach(ctx context.Context, r *refresh.Refresher) (*refresh.Attachment, error) {
	return r.Attach(ctx, bystander{})
}

type bystander struct{}

func (bystander) Verify(context.Context, refresh.Snapshot) error { return nil }
func (bystander) Changed()                                       {}
