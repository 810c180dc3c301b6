// Package job is the command rotate-job: it rotates the secrets that one file
// describes, and ends. A timer, a CronJob or a pipeline calls it every day, an
// operator when something has happened.
//
// It is a package so that a command with further kinds of stores, whose clients
// are heavy, can be made of it: see [Job].
//
// # Exit codes
//
//	0  done, or nothing was due
//	1  failed: the message says why; the next run goes on where this one stopped
//	2  wrong usage or configuration; nothing was begun
//	3  not approved: it waits for an approval, was denied, or was not answered in time
//	4  another process rotates the secret at this moment
//	5  mismatch: the database does not accept what the store calls current
//	6  undrained: somebody still uses what is to be reset or retired
//	7  unfit: the next credential lacks what it needs; everything is as it was
//
// Of several secrets each gets its turn, whatever becomes of the others, and the
// gravest decides: 5, then 1, 7, 6, 4, 3.
package job

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/rekey-go/rekey/rotate"
)

// A Job is the command with what surrounds it.
type Job struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer

	// Stores are kinds of stores beside those of this package, by the name that
	// the configuration has for them.
	Stores map[string]OpenStore
}

// OpenStore opens a store of one kind. Decode reads what the configuration says
// about it into a struct with yaml tags; keys that it lacks are errors.
type OpenStore func(ctx context.Context, decode func(any) error) (rotate.Store, error)

// The exit codes.
const (
	Done = iota
	Failed
	Usage
	NotApproved
	Running
	Mismatch
	Undrained
	Unfit
)

// gravest lists the exit codes of secrets, the gravest first.
var gravest = []int{Mismatch, Failed, Unfit, Undrained, Running, NotApproved, Done}

// codeOf returns the exit code for an error of a rotator.
func codeOf(err error) int {
	switch rotate.Class(err) {
	case "":
		return Done
	case "denied":
		return NotApproved
	case "running", "conflict":
		return Running
	case "mismatch":
		return Mismatch
	case "undrained":
		return Undrained
	case "unfit":
		return Unfit
	}
	return Failed
}

// errUsage is wrapped where the command line or the configuration is wrong.
var errUsage = errors.New("wrong usage")

func wrong(format string, a ...any) error {
	return fmt.Errorf("%w: %s", errUsage, fmt.Sprintf(format, a...))
}

// A command is one of the sub-commands.
type command struct {
	name, arguments, summary string
	flags                    func(*flag.FlagSet, *options)
	run                      func(context.Context, *call) (exit int, err error)
}

func commands() []command {
	return []command{
		{"plan", "[secret …]", "say what a run would do; writes nothing", nil, plan},
		{"rehearse", "[secret …]", "rotate up to a step and undo it, on the real store and database", rehearseFlags, rehearse},
		{"run", "[secret …]", "rotate what is due, and finish what was broken off", runFlags, run},
		{"status", "[secret …]", "say how the secrets stand; writes nothing", nil, status},
		{"history", "[secret …]", "list the versions, and from the audit who made them and why", nil, history},
		{"rollback", "secret", "undo the rotation that is under way, or the last one", rollbackFlags, rollback},
		{"approve", "rotation", "approve a rotation that waits, or deny it", approveFlags, approve},
		{"revoke", "secret", "after a leak: rotate at once and end the sessions of the old credential", revokeFlags, revoke},
		{"report", "[secret …]", "the daily report", reportFlags, reports},
	}
}

// Commands returns the names of the sub-commands.
func Commands() (names []string) {
	for _, c := range commands() {
		names = append(names, c.name)
	}
	return names
}

// Run runs the command with the arguments that follow its name, and returns the
// exit code.
func (j *Job) Run(ctx context.Context, args []string) int {
	exit, err := j.run(ctx, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return Done
	case errors.Is(err, errUsage):
		exit = Usage
	case err != nil && exit == Done:
		exit = codeOf(err)
	}
	if err != nil {
		fmt.Fprintln(j.Stderr, "rotate-job:", err)
	}
	return exit
}

func (j *Job) run(ctx context.Context, args []string) (exit int, err error) {
	if len(args) == 0 || slices.Contains([]string{"help", "-h", "-help", "--help"}, args[0]) {
		j.usage()
		if len(args) == 0 {
			return Usage, wrong("which command?")
		}
		return Done, nil
	}
	for _, c := range commands() {
		if c.name == args[0] {
			call, err := j.parse(ctx, c, args[1:])
			if err != nil {
				return Done, err
			}
			defer call.close()
			exit, err := c.run(ctx, call)
			return exit, errors.Join(err, call.audit.failure())
		}
	}
	j.usage()
	return Usage, wrong("there is no command %q", args[0])
}

func (j *Job) usage() {
	fmt.Fprintln(j.Stderr, "usage: rotate-job command [flags] [argument …]")
	for _, c := range commands() {
		fmt.Fprintf(j.Stderr, "  %-9s %-12s %s\n", c.name, c.arguments, c.summary)
	}
	fmt.Fprintln(j.Stderr, "rotate-job command -h tells the flags of a command.")
}

// options are the flags of all commands.
type options struct {
	config string
	json   bool
	by     string

	now    bool
	yes    bool
	deny   bool
	force  bool
	until  string
	reason string
	valid  duration
	since  duration
}

// A call is a command with its flags and what it works on.
type call struct {
	*Job
	options
	config  *config
	audit   *audit
	secrets []*secret
	args    []string
}

func (j *Job) parse(ctx context.Context, c command, args []string) (*call, error) {
	call := &call{Job: j}
	set := flag.NewFlagSet("rotate-job "+c.name, flag.ContinueOnError)
	set.SetOutput(j.Stderr)
	set.Usage = func() {
		fmt.Fprintf(j.Stderr, "usage: rotate-job %s [flags] %s\n%s\n", c.name, c.arguments, c.summary)
		set.PrintDefaults()
	}
	set.StringVar(&call.options.config, "config", "", "the `file` that describes the secrets; default: $ROTATE_JOB_CONFIG, then rotate-job.yaml")
	set.BoolVar(&call.json, "json", false, "print JSON")
	if c.flags != nil {
		c.flags(set, &call.options)
	}
	for { // flags may come before and after arguments
		if err := set.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, wrong("%s", err)
		}
		if set.NArg() == 0 {
			break
		}
		call.args = append(call.args, set.Arg(0))
		args = set.Args()[1:]
	}
	if one := !strings.HasPrefix(c.arguments, "["); one && len(call.args) != 1 {
		return nil, wrong("%s needs one %s", c.name, c.arguments)
	}
	return call, call.open(ctx, c)
}

// byFlag is who acts.
func byFlag(set *flag.FlagSet, o *options) {
	set.StringVar(&o.by, "by", "", "the `name` of who does this, for the audit; default: $ROTATE_JOB_ACTOR, then user and host")
}
