package verify

// What is fuzzed.
var (
	Keyword = keyword
	Brief   = brief
)

// Drawn finds the sequences in a line of a plan.
func Drawn(line string) []string { return drawn(line, nil) }
