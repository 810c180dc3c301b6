package rotate

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

var strategies = map[string]Strategy{
	"single user":       {Name: "single user", InPlace: true},
	"alternating users": {Name: "alternating users", Reuses: true},
	"parallel role":     {Name: "parallel role", Leaves: true},
	"dual password":     {Name: "dual password", Leaves: true, Dual: true},
}

func TestOrder(t *testing.T) {
	for name, want := range map[string][]Step{
		"single user":       {StepCreate, StepApprove, StepSet, StepVerify, StepPromote},
		"alternating users": {StepCreate, StepClear, StepSet, StepVerify, StepApprove, StepPromote},
		"parallel role":     {StepCreate, StepSet, StepVerify, StepApprove, StepPromote, StepDrain, StepDisable, StepRemove},
		"dual password":     {StepCreate, StepSet, StepVerify, StepApprove, StepPromote, StepDrain, StepRemove},
	} {
		require.Equal(t, want, order(strategies[name]), name)
	}
}

// The naive order is impossible, whatever is known and found.
func TestInvariantNothingIsPromotedBeforeItIsSetVerifiedAndApproved(t *testing.T) {
	for name, s := range strategies {
		for bits := range 16 {
			on := func(n int) bool { return bits&(1<<n) != 0 }
			f := facts{State{Current: Version{Token: "a"}, Pending: &Version{Token: "b"}}, on(0)}
			k := known{clear: on(1), verified: on(2), approved: on(3)}
			step := next(s, f, k)
			approved := k.approved || s.InPlace && f.applied
			switch step {
			case StepPromote:
				require.True(t, f.applied && k.verified && approved, "%s %+v %+v", name, f, k)
			case StepSet:
				require.True(t, approved || !s.InPlace, "%s: set breaks the current credential", name)
				require.True(t, k.clear || !s.Reuses, "%s: somebody may use that user", name)
			case StepVerify:
				require.True(t, f.applied, name)
			}
		}
	}
}

// After a crash anywhere, the next run goes on with a step of the same order,
// and comes to its end.
func TestInvariantEveryStateLeadsToTheEnd(t *testing.T) {
	for name, s := range strategies {
		for _, applied := range []bool{false, true} {
			f := facts{State{Current: Version{Token: "a"}, Pending: &Version{Token: "b"}}, applied}
			var k known
			var steps []Step
			for len(steps) < 10 {
				step := next(s, f, k)
				steps = append(steps, step)
				switch step {
				case StepClear:
					k.clear = true
				case StepSet:
					f.applied = true
				case StepVerify:
					k.verified = true
				case StepApprove:
					k.approved = true
				}
				if step == StepPromote {
					break
				}
			}
			require.Equal(t, StepPromote, steps[len(steps)-1], name)
			whole := order(s)
			for i := 1; i < len(steps); i++ {
				require.Less(t, slices.Index(whole, steps[i-1]), slices.Index(whole, steps[i]), name)
			}
		}
		require.Equal(t, StepDone, next(s, facts{state: State{Current: Version{Token: "b"}, Pending: &Version{Token: "b"}}}, known{}), "the label is left behind")
		require.Equal(t, StepDone, next(s, facts{state: State{Current: Version{Token: "b"}}}, known{}))
	}
}
