package smserver

import (
	"context"
	"time"
)

type deleteIn struct {
	secretID
	RecoveryWindowInDays       *int
	ForceDeleteWithoutRecovery bool
}

type deleteOut struct {
	ARN          string `json:",omitempty"`
	Name         string
	DeletionDate stamp
}

// deleteSecret by force succeeds for a secret that is not there.
func (s *Store) deleteSecret(_ context.Context, in deleteIn) (out deleteOut, err error) {
	days := 30
	if window := in.RecoveryWindowInDays; window != nil {
		if days = *window; in.ForceDeleteWithoutRecovery {
			return out, refuse(badParameter, "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
		}
	}
	if days < 7 || days > 30 {
		return out, refuse(badParameter, "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).")
	}
	err = s.change(func(st state, now time.Time) error {
		c, err := st.find(in.SecretID)
		if in.ForceDeleteWithoutRecovery {
			out = deleteOut{Name: in.SecretID, DeletionDate: stamp(now)}
			if err == nil {
				out.ARN, out.Name = c.arn, c.name
				delete(st, c.name)
			}
			return nil
		}
		if err == nil {
			c, err = st.edit(in.SecretID)
		}
		if err != nil {
			return err
		}
		c.deletion = now.Add(time.Duration(days) * 24 * time.Hour)
		out = deleteOut{c.arn, c.name, stamp(c.deletion)}
		return nil
	})
	return out, err
}

func (s *Store) restoreSecret(_ context.Context, in secretID) (out ref, err error) {
	err = s.change(func(st state, _ time.Time) error {
		c, err := st.find(in.SecretID)
		if err != nil {
			return err
		}
		c = st.copy(c)
		c.deletion, out = time.Time{}, ref{c.arn, c.name}
		return nil
	})
	return out, err
}
