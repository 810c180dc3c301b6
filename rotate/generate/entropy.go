package generate

import (
	"math"
	"math/big"
	"math/bits"
	"strings"
)

// passwords counts the texts of the classes' characters that start with a letter
// or digit and, if each is asked for, have a character of every class. The latter
// goes by inclusion and exclusion: all, less those without one class, plus those
// without two …
func passwords(classes []string, each bool, length int) *big.Int {
	subsets := 1
	if each {
		subsets = 1 << len(classes)
	}
	sum := new(big.Int)
	for without := range subsets {
		var left string
		for i, class := range classes {
			if without&(1<<i) == 0 {
				left += class
			}
		}
		starts := len(left)
		for _, c := range left {
			if strings.ContainsRune(allSymbols, c) {
				starts--
			}
		}
		n := power(len(left), length-1)
		n.Mul(n, big.NewInt(int64(starts)))
		if bits.OnesCount(uint(without))%2 == 0 {
			sum.Add(sum, n)
		} else {
			sum.Sub(sum, n)
		}
	}
	return sum
}

func power(n, exponent int) *big.Int {
	return new(big.Int).Exp(big.NewInt(int64(n)), big.NewInt(int64(exponent)), nil)
}

// log2 is the entropy of one choice among n, in bits.
func log2(n *big.Int) float64 {
	if n.Sign() <= 0 {
		return 0
	}
	// The upper 53 bits are what a float64 holds; the rest is a shift.
	shift := max(0, n.BitLen()-53)
	top, _ := new(big.Int).Rsh(n, uint(shift)).Float64()
	return math.Log2(top) + float64(shift)
}
