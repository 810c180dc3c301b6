package mysql

// Lost compares two users by what SHOW GRANTS and current_role() say to them.
func Lost(fromRole string, from []string, toRole string, to []string) (lost []string) {
	had, has := grants{active: fromRole}, grants{active: toRole}
	for _, line := range from {
		had.add(line)
	}
	for _, line := range to {
		has.add(line)
	}
	for _, r := range has.without(had) {
		lost = append(lost, r.String())
	}
	return lost
}

var WithName = withName
