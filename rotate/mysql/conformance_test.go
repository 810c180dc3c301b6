package mysql_test

import (
	"fmt"
	"testing"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/mysql"
	"github.com/rekey-go/rekey/rotate/rotatetest"
)

// strategies are the targets of this package over a house.
var strategies = []struct {
	name string
	open func(*house) func(*mysql.Config) (rotate.Target, error)
}{
	{"SingleUser", func(*house) func(*mysql.Config) (rotate.Target, error) { return mysql.SingleUser }},
	{"DualPassword", func(*house) func(*mysql.Config) (rotate.Target, error) { return mysql.DualPassword }},
	{"Alternating", func(h *house) func(*mysql.Config) (rotate.Target, error) {
		return func(c *mysql.Config) (rotate.Target, error) {
			return mysql.Alternating(c, h.first.Username, h.other)
		}
	}},
}

func TestConformance(t *testing.T) {
	for _, product := range products {
		for _, s := range strategies {
			t.Run(fmt.Sprint(s.name, product), func(t *testing.T) {
				t.Parallel()
				rotatetest.Target(t, func(t *testing.T) rotatetest.TargetHarness {
					h := newHouse(t, product, "")
					return h.harness(s.open(h))
				})
			})
		}
	}
}
