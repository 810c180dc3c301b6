package file

// Where a replacement can be broken off.
const (
	Created = string(created)
	Written = string(written)
	Synced  = string(synced)
	Renamed = string(renamed)
)

// Fault has every point of a replacement call f, whose error breaks it off.
func (s *Store) Fault(f func(point string) error) {
	s.files.fault = func(p point) error { return f(string(p)) }
}
