package job

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/rekey-go/rekey/rotate"
)

// print writes one JSON document, or the text.
func (c *call) print(v any, text func(io.Writer)) error {
	if !c.json {
		text(c.Stdout)
		return nil
	}
	e := json.NewEncoder(c.Stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// worst returns the exit code for several secrets.
func worst(exits []int) int {
	for _, exit := range gravest {
		if slices.Contains(exits, exit) {
			return exit
		}
	}
	return Done
}

// An outcome is what became of one secret.
type outcome struct {
	Secret   string   `json:"secret"`
	State    string   `json:"state"` // rotated, finished, rehearsed, rolled back, revoked, not due, or the class of its failure
	Rotation string   `json:"rotation,omitempty"`
	From     string   `json:"from,omitempty"`
	To       string   `json:"to,omitempty"`
	User     string   `json:"user,omitempty"`
	Approver string   `json:"approver,omitempty"`
	Kept     []string `json:"kept,omitempty"` // disabled, for the grace
	Retired  []string `json:"retired,omitempty"`
	Forced   []string `json:"forced,omitempty"`
	Seconds  float64  `json:"seconds,omitempty"`
	Note     string   `json:"note,omitempty"`
	Error    string   `json:"error,omitempty"`
	Exit     int      `json:"exit"`
}

// outcomeOf makes one of what a rotator returned. State says what it is if all
// went well.
func (s *secret) outcomeOf(state string, r rotate.Result, err error) outcome {
	o := outcome{
		Secret: s.Name, State: state, Rotation: r.Rotation, From: r.From, To: r.To, User: r.User, Approver: r.Approver,
		Kept: r.Kept, Retired: r.Retired, Forced: r.Forced, Seconds: r.Took.Seconds(), Exit: codeOf(err),
	}
	if err != nil {
		o.State, o.Error = stateOf(err), strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return o
}

// sumUp prints what became of all.
func (c *call) sumUp(all []outcome) (int, error) {
	var exits []int
	for _, o := range all {
		exits = append(exits, o.Exit)
	}
	return worst(exits), c.print(all, func(w io.Writer) {
		counts := make(map[string]int)
		for _, o := range all {
			o.print(w)
			counts[o.State]++
		}
		if len(all) == 1 {
			return
		}
		var parts []string
		for _, o := range all {
			if n := counts[o.State]; n > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", n, o.State))
				delete(counts, o.State)
			}
		}
		fmt.Fprintf(w, "%d secrets: %s\n", len(all), strings.Join(parts, ", "))
	})
}

func (o outcome) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %s", o.Secret, o.State)
	if o.Rotation != "" {
		fmt.Fprintf(w, ", rotation %s", o.Rotation)
	}
	if o.Error == "" && o.Rotation != "" {
		fmt.Fprintf(w, ", user %s, in %.1f s", o.User, o.Seconds)
	}
	if o.Approver != "" {
		fmt.Fprintf(w, ", approved by %s", o.Approver)
	}
	if len(o.Kept) > 0 {
		fmt.Fprintf(w, ", keeps %s disabled for the grace", strings.Join(o.Kept, ", "))
	}
	if len(o.Retired) > 0 {
		fmt.Fprintf(w, ", retired %s", strings.Join(o.Retired, ", "))
	}
	if o.Note != "" {
		fmt.Fprintf(w, ", %s", o.Note)
	}
	fmt.Fprintln(w)
	for _, f := range o.Forced {
		fmt.Fprintf(w, "  not waited for: %s\n", f)
	}
	if o.Error != "" {
		fmt.Fprintf(w, "  %s\n", o.Error)
	}
}
