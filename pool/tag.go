package pool

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

const (
	longestName = 63 // bytes of an application_name that PostgreSQL keeps
	longestTag  = 20
)

// VersionTag returns what [Options.VersionTag] shows of a version: its last 20
// characters, the others than letters, digits and "._:-" made "_". The end is
// what tells the versions of most stores apart.
func VersionTag(version string) string {
	tag := strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (r >= '0' && r <= '9' || r|0x20 >= 'a' && r|0x20 <= 'z' || strings.ContainsRune("._:-", r)) {
			return r
		}
		return '_'
	}, version)
	return tag[max(0, len(tag)-longestTag):]
}

// taggedName is base with the tag after an "@", shortened to fit.
func taggedName(base, tag string) string {
	base = cmp.Or(base, filepath.Base(os.Args[0]))
	room := longestName - len("@") - len(tag)
	for len(base) > room {
		_, size := utf8.DecodeLastRuneInString(base)
		base = base[:len(base)-size]
	}
	return base + "@" + tag
}
