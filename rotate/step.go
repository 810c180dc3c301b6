package rotate

// A Step is one part of a rotation.
type Step string

// The steps, in the order of a rotation that leaves the old user behind. In
// place, approve comes before set.
const (
	StepCreate  Step = "create"  // draw the next credential and store it as pending
	StepClear   Step = "clear"   // wait until nobody uses the user that set changes
	StepSet     Step = "set"     // make the database accept it
	StepVerify  Step = "verify"  // log in with it and prove its rights
	StepApprove Step = "approve" // ask Config.Approve
	StepPromote Step = "promote" // make it current in the store
	StepDrain   Step = "drain"   // wait until nobody uses the one before
	StepDisable Step = "disable" // keep the old user from logging in
	StepRemove  Step = "remove"  // remove the old user, or the older of two passwords
)

// The steps of what is no rotation forward, and the absence of any.
const (
	StepUndo    Step = "undo"    // take set back
	StepDiscard Step = "discard" // remove the pending version from the store
	StepRestore Step = "restore" // make the previous version current again
	StepEnd     Step = "end"     // end the sessions of a user
	StepDone    Step = "done"    // nothing is left to do
)

// facts are what a look at store and database shows.
type facts struct {
	state   State
	applied bool // the pending version has been set
}

// known is what this run has found out or been told, which no look shows.
type known struct {
	clear    bool
	verified bool
	approved bool
}

// next decides, from nothing else than what is, which step makes the pending
// version current. It is a pure function: a run that begins after a crash
// decides as the one before would have.
func next(s Strategy, f facts, k known) Step {
	if f.state.Pending == nil || f.state.Pending.Token == f.state.Current.Token {
		return StepDone
	}
	approved := k.approved || s.InPlace && f.applied // it was asked for before set
	switch {
	case s.InPlace && !approved:
		return StepApprove
	case s.Reuses && !f.applied && !k.clear:
		return StepClear
	case !f.applied:
		return StepSet
	case !k.verified:
		return StepVerify
	case !approved:
		return StepApprove
	}
	return StepPromote
}

// retiring lists the steps that retire what one rotation has left behind.
func retiring(s Strategy) []Step {
	switch {
	case s.Dual:
		return []Step{StepDrain, StepRemove}
	case s.Leaves:
		return []Step{StepDrain, StepDisable, StepRemove}
	}
	return nil
}

// order lists the steps of a rotation from its beginning.
func order(s Strategy) []Step {
	steps := []Step{StepCreate}
	f := facts{state: State{Current: Version{Token: "from"}, Pending: &Version{Token: "to"}}}
	var k known
	for {
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
		default:
			return append(steps, retiring(s)...)
		}
	}
}
