package mygrants_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/mygrants"
)

// lost compares two users by what SHOW GRANTS and current_role() say to them.
func lost(fromRole string, from []string, toRole string, to []string) []string {
	had, has := mygrants.Grants{Active: fromRole}, mygrants.Grants{Active: toRole}
	for _, line := range from {
		had.Add(line)
	}
	for _, line := range to {
		has.Add(line)
	}
	return mygrants.Lost(had, has)
}

func TestLostRightsByWhatServersShow(t *testing.T) {
	const usage = "GRANT USAGE ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '*5146DE71291F8D7B46874C14DD351748E9B8A304'"
	for name, c := range map[string]struct {
		from, to []string
		want     []string
	}{
		"nothing at all": {},
		"the same, written otherwise": {
			from: []string{usage, "GRANT SELECT, INSERT ON `d`.`t` TO `u`@`%`", "GRANT UPDATE (`a`, `b`) ON `d`.`t` TO `u`@`%`"},
			to:   []string{"GRANT INSERT ON `d`.`t` TO `v`@`%`", "GRANT UPDATE (`b`), SELECT, UPDATE (`a`) ON `d`.`t` TO `v`@`%`"},
		},
		"one of two": {
			from: []string{"GRANT SELECT, INSERT ON `d`.`t` TO `u`@`%`"},
			to:   []string{"GRANT SELECT ON `d`.`t` TO `v`@`%`"},
			want: []string{"INSERT on `d`.`t`"},
		},
		"a column": {
			from: []string{"GRANT SELECT (`a`, `b, c`) ON `d`.`t` TO `u`@`%`"},
			to:   []string{"GRANT SELECT (`a`) ON `d`.`t` TO `v`@`%`"},
			want: []string{"SELECT (`b, c`) on `d`.`t`"},
		},
		"a table for its columns": {
			from: []string{"GRANT SELECT (`a`) ON `d`.`t` TO `u`@`%`"},
			to:   []string{"GRANT SELECT ON `d`.`t` TO `v`@`%`"},
		},
		"columns for the table": {
			from: []string{"GRANT SELECT ON `d`.`t` TO `u`@`%`"},
			to:   []string{"GRANT SELECT (`a`) ON `d`.`t` TO `v`@`%`"},
			want: []string{"SELECT on `d`.`t`"},
		},
		"the database for a table": {
			from: []string{"GRANT SELECT ON `my_d`.`t.x` TO `u`@`%`", "GRANT EXECUTE ON PROCEDURE `my_d`.`p` TO `u`@`%`"},
			to:   []string{"GRANT SELECT, EXECUTE ON `my\\_d`.* TO `v`@`%`"},
		},
		"a pattern for the database": {
			from: []string{"GRANT SELECT ON `my\\_d`.* TO `u`@`%`", "GRANT SELECT ON `other`.`t` TO `u`@`%`"},
			to:   []string{"GRANT SELECT ON `my%`.* TO `v`@`%`"},
			want: []string{"SELECT on `other`.`t`"},
		},
		"another database of nearly this name": {
			from: []string{"GRANT SELECT ON `my_d`.`t` TO `u`@`%`"},
			to:   []string{"GRANT SELECT ON `my\\_e`.* TO `v`@`%`", "GRANT SELECT ON `my_d2`.* TO `v`@`%`"},
			want: []string{"SELECT on `my_d`.`t`"},
		},
		"everything for something": {
			from: []string{"GRANT SELECT, DROP ON `d`.* TO `u`@`%`", "GRANT RELOAD ON *.* TO `u`@`%`"},
			to:   []string{"GRANT ALL PRIVILEGES ON *.* TO `v`@`%`"},
		},
		"something for everything": {
			from: []string{"GRANT ALL PRIVILEGES ON `d`.* TO `u`@`%` WITH GRANT OPTION"},
			to:   []string{"GRANT SELECT ON `d`.* TO `v`@`%` WITH GRANT OPTION"},
			want: []string{"ALL PRIVILEGES on `d`.*"},
		},
		"the right to grant": {
			from: []string{"GRANT SELECT ON `d`.* TO `u`@`%` IDENTIFIED VIA x USING 'TO `a`' REQUIRE SSL WITH GRANT OPTION MAX_QUERIES_PER_HOUR 5"},
			to:   []string{"GRANT ALL PRIVILEGES ON `d`.* TO `v WITH GRANT OPTION`@`%`"},
			want: []string{"GRANT OPTION on `d`.*"},
		},
		"a procedure, not a function": {
			from: []string{"GRANT EXECUTE ON PROCEDURE `d`.`p` TO `u`@`%`"},
			to:   []string{"GRANT EXECUTE ON FUNCTION `d`.`p` TO `v`@`%`"},
			want: []string{"EXECUTE on PROCEDURE `d`.`p`"},
		},
		"names that look like grammar": {
			from: []string{"GRANT SELECT ON `d TO x`.` ON ``TO`` ` TO `u ON`@`%`", "GRANT INSERT ON `d TO x`.` ON ``TO`` ` TO `u`@`%`"},
			to:   []string{"GRANT SELECT ON `d TO x`.` ON ``TO`` ` TO `v`@`%`"},
			want: []string{"INSERT on `d TO x`.` ON ``TO`` `"},
		},
		"what is taken out again": {
			from: []string{"GRANT SELECT, INSERT ON *.* TO `u`@`%`"},
			to:   []string{"GRANT SELECT, INSERT ON *.* TO `v`@`%`", "REVOKE INSERT ON `d`.* FROM `v`@`%`"},
			want: []string{"INSERT on `d`.*"},
		},
		"a role to switch to": {
			from: []string{"GRANT `a`@`%`,`active`@`%` TO `u`@`%`", "GRANT `b` TO `u`@`%` WITH ADMIN OPTION"},
			to:   []string{"GRANT `b` TO `v`@`%`"},
			want: []string{"role `a`@`%`"},
		},
		"a proxy": {
			from: []string{"GRANT PROXY ON ``@`%` TO `u`@`%` WITH GRANT OPTION"},
			to:   []string{"GRANT ALL PRIVILEGES ON *.* TO `v`@`%` WITH GRANT OPTION"},
			want: []string{"GRANT OPTION on ``@`%`", "PROXY on ``@`%`"},
		},
		"what is no grant": {
			from: []string{"SET DEFAULT ROLE `r` FOR `u`@`%`", "", "GRANT", "GRANT SELECT", "GRANT SELECT ON", "(`", "GRANT ( ON `d` TO"},
			to:   []string{"GRANT SELECT"},
		},
	} {
		got := lost("`active`@`%`", c.from, "", c.to)
		if name == "what is no grant" {
			continue // it must only not panic
		}
		require.Equal(t, append([]string{}, c.want...), got, name)
	}
}

func FuzzLostRights(f *testing.F) {
	f.Add("GRANT SELECT (`a`), UPDATE ON `d`.`t` TO `u`@`%` WITH GRANT OPTION", "GRANT `r` TO `u`@`%`")
	f.Add("REVOKE INSERT ON `d\\_`.* FROM 'u'@'%'", "GRANT PROXY ON ''@'' TO x IDENTIFIED BY PASSWORD '*0'")
	f.Fuzz(func(t *testing.T, a, b string) {
		lines := strings.Split(a, "\n")
		lost("r", lines, "", strings.Split(b, "\n"))
		require.Empty(t, lost("r", lines, "r", lines), "nobody loses anything to oneself")
	})
}
