package mysql

import (
	"context"
	"fmt"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// DualPassword returns the target of a user who accepts two passwords for a
// while: from set on the next one and the current one, until the older of them is
// discarded. On MySQL that is RETAIN CURRENT PASSWORD, on MariaDB a list of ways
// to log in (IDENTIFIED VIA … OR …); what the list had besides is gone.
//
// The server does not tell with which password a session has logged in. It can be
// seen who has been connected since before set; who logs in with the older
// password later cannot, except in pools of this process: see
// [rotate.Config.Pools] and Grace.
func DualPassword(c *Config) (rotate.Target, error) {
	config, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	return &dual{inPlace{server{config, before}}}, nil
}

type dual struct{ inPlace }

func (d *dual) Strategy() rotate.Strategy {
	return rotate.Strategy{Name: "dual password", Leaves: true, Dual: true}
}

// Set gives the user the next password and keeps the current one.
func (d *dual) Set(ctx context.Context, c rotate.Change) error {
	return d.fenced(ctx, c, func(x *session, m mark) error {
		if err := m.unspent(c); err != nil {
			return err
		}
		if m.Token == c.Token {
			return d.again(ctx, x, c, m)
		}
		if m.Old && m.Token == c.From.Version && m.After != c.To.Version {
			return fmt.Errorf("mysql: user %q still accepts the password of version %q, which the next one would take away; retire that first: %w", c.To.Username, m.After, rotate.ErrUnfit)
		}
		after := m.set(c.Token, c.From.Version)
		after.Old = true
		if x.mariaDB {
			clause, err := x.identified(c.To.Password, c.From.Password)
			if err != nil {
				return err
			}
			return x.put(ctx, c.To.Username, clause, m, after, true)
		}
		if err := d.first(ctx, x, c); err != nil {
			return err
		}
		clause, err := x.identified(c.To.Password)
		if err != nil {
			return err
		}
		return x.put(ctx, c.To.Username, clause+" retain current password", m, after, true)
	})
}

// first sees to it that what MySQL retains is the current password: people may
// have made it the older of two, and nobody can ask which one is.
func (d *dual) first(ctx context.Context, x *session, c rotate.Change) error {
	accepted, err := d.Accepts(ctx, c.From)
	if err != nil || !accepted {
		return err
	}
	clause, err := x.identified(c.From.Password)
	if err != nil {
		return err
	}
	return x.alter(ctx, c.To.Username, clause)
}

// again sets what has been set; what was discarded since does not come back.
func (d *dual) again(ctx context.Context, x *session, c rotate.Change, m mark) error {
	passwords := []source.Secret{c.To.Password}
	if m.Old {
		passwords = append(passwords, c.From.Password)
	}
	clause, err := x.identified(passwords...)
	if err != nil {
		return err
	}
	return x.put(ctx, c.To.Username, clause, m, m, true)
}

// Undo has the user accept the current password and not the next one.
func (d *dual) Undo(ctx context.Context, c rotate.Change) error {
	return d.fenced(ctx, c, func(x *session, m mark) error {
		after := m.spend(c.Token)
		if m.Token == c.Token {
			after.Token, after.After, after.Old = c.From.Version, "", false
		} else {
			accepted, err := d.Accepts(ctx, c.From)
			if err != nil {
				return err
			}
			if accepted { // nothing has happened
				return x.put(ctx, c.To.Username, "", m, after, false)
			}
		}
		return x.give(ctx, c.To.Username, c.From.Password, m, after, false)
	})
}

// Left names the user if its older password has not been discarded.
func (d *dual) Left(ctx context.Context, s rotate.State) (left []string, err error) {
	user := s.Current.Credential.Username
	err = d.admin(ctx, func(x *session) error {
		m, err := x.read(ctx, user)
		if m.Old && m.Token == s.Current.Token {
			left = []string{user}
		}
		return err
	})
	return left, err
}

// Discard takes the older password away.
func (d *dual) Discard(ctx context.Context, s rotate.State) error {
	user := s.Current.Credential.Username
	return d.change(ctx, func(x *session) error {
		m, err := x.read(ctx, user)
		switch {
		case err != nil:
			return err
		case m.Token != s.Current.Token:
			return fmt.Errorf("mysql: user %q was last changed by rotation %q, not by %q, which is current: %w", user, m.Token, s.Current.Token, rotate.ErrConflict)
		case !m.Old:
			return nil
		}
		now, err := x.stamp(ctx, m)
		if err != nil {
			return err
		}
		after := m
		after.Old, after.Gone = false, now.Last
		// On MySQL it is not known which of two passwords would stay.
		clause, err := x.identified(s.Current.Credential.Password)
		if err != nil {
			return err
		}
		if !x.mariaDB {
			if err := x.alter(ctx, user, clause); err != nil {
				return err
			}
			clause = " discard old password"
		}
		return x.put(ctx, user, clause, m, after, false)
	}, user)
}
