package main

import (
	"iter"
	"math/rand/v2"
	"strings"
	"time"
)

// A strike is what goes wrong at one time: one fault, or two of different sides.
type strike struct {
	faults []fault
	lasts  time.Duration
	draw   *rand.Rand // for what a fault has to choose
}

func (s strike) String() string {
	var names []string
	for _, f := range s.faults {
		names = append(names, f.name)
	}
	return strings.Join(names, " + ")
}

// shortest is how long a fault lasts at least.
const shortest = 300 * time.Millisecond

// schedule follows from a seed and how long a fault lasts at most: rounds of all
// faults, each in an order of its own. Every third fault of a database comes with
// one of a store.
func schedule(seed uint64, longest time.Duration) iter.Seq[strike] {
	draw := rand.New(rand.NewPCG(seed, 0))
	return func(yield func(strike) bool) {
		for {
			for _, i := range draw.Perm(len(all)) {
				s := strike{faults: []fault{all[i]}, lasts: shortest + time.Duration(draw.Int64N(int64(longest-shortest)))}
				if all[i].side == database && draw.IntN(3) == 0 {
					s.faults = append(s.faults, ofStores[draw.IntN(len(ofStores))])
				}
				s.draw = rand.New(rand.NewPCG(draw.Uint64(), 0))
				if !yield(s) {
					return
				}
			}
		}
	}
}
