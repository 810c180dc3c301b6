package rdsiam

import (
	"time"

	"github.com/rekey-go/rekey/source"
)

var (
	ParseEndpoint = parseEndpoint
	RegionOf      = regionOf
)

// Shorten has src take the lifetime of its tokens for d.
func Shorten(src source.Source, d time.Duration) source.Source {
	src.(*tokens).lifetime = d
	return src
}
