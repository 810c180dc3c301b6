package job

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/rekey-go/rekey/rotate/schedule"
)

// A config is the file that describes the secrets. It holds no secret itself:
// credentials of the job's own come from the environment and from files.
type config struct {
	// Audit is the file to which each step is appended, a JSON object a line.
	// Empty: steps are logged to standard error, and history knows less.
	Audit     string          `yaml:"audit"`
	Approvals approvals       `yaml:"approvals"`
	Secrets   []*secretConfig `yaml:"secrets"`
}

type secretConfig struct {
	Name   string               `yaml:"name"`
	Store  map[string]yaml.Node `yaml:"store"`  // one kind
	Target map[string]yaml.Node `yaml:"target"` // one kind

	// Interval and Jitter, or Cron and Zone, say when it is due. Nothing: 90 days
	// with a jitter of nine.
	Interval duration `yaml:"interval"`
	Jitter   duration `yaml:"jitter"`
	Cron     string   `yaml:"cron"`
	Zone     string   `yaml:"zone"`

	// Lifetime is the longest that a connection of any consumer lives, and
	// Propagation the longest that one logs in with the old credential after the
	// new one is current. The interval must be longer than both.
	Lifetime    duration `yaml:"lifetime"`
	Propagation duration `yaml:"propagation"`

	Approve   bool     `yaml:"approve"` // somebody is asked before the current credential changes
	Consumers []string `yaml:"consumers"`
	Drain     duration `yaml:"drain"` // how long users of the old credential are waited for; zero: 10 min
	Force     bool     `yaml:"force"` // go on after that
	Grace     duration `yaml:"grace"` // how long an old user is kept disabled before it is removed

	schedule schedule.Schedule
}

// names of secrets are typed on command lines.
var names = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./-]*$`)

// load reads and checks a configuration.
func load(path string) (*config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, wrong("the configuration: %s", err)
	}
	c := &config{}
	if err := strict(text, c); err != nil {
		return nil, wrong("%s: %s", path, err)
	}
	if c.Audit, err = expand(c.Audit); err != nil {
		return nil, wrong("%s: audit: %s", path, err)
	}
	if err := c.Approvals.check(); err != nil {
		return nil, wrong("%s: approvals: %s", path, err)
	}
	if len(c.Secrets) == 0 {
		return nil, wrong("%s: there are no secrets", path)
	}
	var seen []string
	for i, s := range c.Secrets {
		if !names.MatchString(s.Name) {
			return nil, wrong("%s: secret %d: its name is %q; it should be of letters, digits and _ . / -", path, i+1, s.Name)
		}
		if slices.Contains(seen, s.Name) {
			return nil, wrong("%s: there are two secrets %q", path, s.Name)
		}
		seen = append(seen, s.Name)
		if err := s.check(c); err != nil {
			return nil, wrong("%s: secret %s: %s", path, s.Name, err)
		}
	}
	return c, nil
}

func (s *secretConfig) check(c *config) (err error) {
	if len(s.Store) != 1 || len(s.Target) != 1 {
		return errors.New("it needs one store and one target")
	}
	if s.Approve && c.Approvals.Directory == "" {
		return errors.New("it wants approval, so approvals needs a directory")
	}
	if s.schedule, err = s.when(); err != nil {
		return err
	}
	if s.Lifetime <= 0 {
		return errors.New("lifetime is missing: the longest that a connection lives, such as 1h; without it nobody knows when the old credential is gone")
	}
	const ahead = 100 // rotations that are looked at
	shortest := schedule.Shortest(s.schedule, time.Now(), ahead)
	return schedule.Validate(shortest, time.Duration(s.Lifetime), time.Duration(s.Propagation))
}

func (s *secretConfig) when() (schedule.Schedule, error) {
	switch {
	case s.Cron != "" && (s.Interval != 0 || s.Jitter != 0):
		return nil, errors.New("it has an interval and cron; one of them is enough")
	case s.Cron != "":
		zone, err := time.LoadLocation(s.Zone)
		if err != nil {
			return nil, fmt.Errorf("zone: %w", err)
		}
		return schedule.Cron(s.Cron, zone)
	case s.Interval == 0:
		return schedule.For(schedule.DatabasePassword, s.Name)
	}
	return schedule.Every(time.Duration(s.Interval), time.Duration(s.Jitter), s.Name)
}

// strict decodes one document and refuses keys that are not known.
func strict(text []byte, to any) error {
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(to); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// decoder returns what reads a part of the configuration. Of a node, yaml does not
// refuse what is not known, of a text it does.
func decoder(n yaml.Node) func(any) error {
	return func(to any) error {
		text, err := yaml.Marshal(&n)
		if err != nil {
			return err
		}
		if err := strict(text, to); err != nil {
			return wrong("%s", err)
		}
		return nil
	}
}

// expand puts environment variables into a path: ${CREDENTIALS_DIRECTORY}/admin.
func expand(path string) (string, error) {
	var missing []string
	path = os.Expand(path, func(name string) string {
		value, ok := os.LookupEnv(name)
		if !ok {
			missing = append(missing, name)
		}
		return value
	})
	if missing != nil {
		return "", fmt.Errorf("the environment has no %s", strings.Join(missing, ", "))
	}
	return path, nil
}

// A duration is one of time.Duration, or a number of days: 90d.
type duration time.Duration

// Set reads a flag.
func (d *duration) Set(text string) error {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return fmt.Errorf("%q is not a number of days", text)
		}
		*d = duration(time.Duration(n) * 24 * time.Hour)
		return nil
	}
	t, err := time.ParseDuration(text)
	if err != nil || t < 0 {
		return fmt.Errorf("%q is not a duration such as 90d, 12h or 30s", text)
	}
	*d = duration(t)
	return nil
}

func (d *duration) String() string { return time.Duration(*d).String() }

// UnmarshalYAML reads the configuration.
func (d *duration) UnmarshalYAML(n *yaml.Node) error { return d.Set(n.Value) }
