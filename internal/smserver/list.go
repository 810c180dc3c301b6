package smserver

import (
	"cmp"
	"context"
	"slices"
	"strings"
)

type filter struct {
	Key    string
	Values []string
}

type listIn struct {
	page
	Filters                []filter
	IncludePlannedDeletion bool
	SortBy                 string
	SortOrder              string
}

type listOut struct {
	SecretList []listEntry
	NextToken  string `json:",omitempty"`
}

type listEntry struct {
	about
	SecretVersionsToStages map[string][]string `json:",omitempty"`
}

func (s *Store) listSecrets(ctx context.Context, in listIn) (out listOut, err error) {
	if in.SortBy != "" && in.SortBy != "created-date" {
		return out, refuse(badParameter, "Secrets are sorted by created-date only here.")
	}
	for _, f := range in.Filters {
		if len(f.Values) == 0 || len(f.Values) > 10 {
			return out, invalid("filters.values", "have between 1 and 10 members")
		}
		if _, ok := attributes[f.Key]; !ok {
			return out, invalid("filters.key", "satisfy enum value set: [name, description, tag-key, tag-value]")
		}
	}
	st, _ := s.view(ctx)
	var all []*secret
	for _, c := range st {
		if (c.deletion.IsZero() || in.IncludePlannedDeletion) && c.matches(in.Filters) {
			all = append(all, c)
		}
	}
	order := 1
	switch in.SortOrder {
	case "", "asc":
	case "desc":
		order = -1
	default:
		return out, invalid("sortOrder", "satisfy enum value set: [asc, desc]")
	}
	chosen, next, err := cut(in.page, all, order, func(c *secret) mark { return mark{c.created.UnixNano(), c.name} })
	out = listOut{SecretList: []listEntry{}, NextToken: next}
	for _, c := range chosen {
		out.SecretList = append(out.SecretList, listEntry{about: c.about(), SecretVersionsToStages: c.stages()})
	}
	return out, err
}

// attributes are what a filter looks at: prefixes of these.
var attributes = map[string]func(*secret) []string{
	"name":        func(s *secret) []string { return []string{s.name} },
	"description": func(s *secret) []string { return []string{strings.ToLower(s.description)} },
	"tag-key":     func(s *secret) []string { return keys(s.tags) },
	"tag-value":   func(s *secret) []string { return values(s.tags) },
}

// matches says that each filter has a value that the secret begins with, or
// does not begin with if the value has an exclamation mark.
func (s *secret) matches(filters []filter) bool {
	for _, f := range filters {
		texts := attributes[f.Key](s)
		if !slices.ContainsFunc(f.Values, func(want string) bool {
			prefix, not := strings.CutPrefix(want, "!")
			if f.Key == "description" {
				prefix = strings.ToLower(prefix)
			}
			return not != slices.ContainsFunc(texts, func(t string) bool { return strings.HasPrefix(t, prefix) })
		}) {
			return false
		}
	}
	return true
}

type versionsIn struct {
	secretID
	page
	IncludeDeprecated bool
}

type versionsOut struct {
	ref
	NextToken string `json:",omitempty"`
	Versions  []versionEntry
}

type versionEntry struct {
	VersionID        string   `json:"VersionId"`
	VersionStages    []string `json:",omitempty"`
	LastAccessedDate stamp    `json:",omitzero"`
	CreatedDate      stamp
	KmsKeyIDs        []string `json:"KmsKeyIds"`
}

func (s *Store) listSecretVersionIDs(ctx context.Context, in versionsIn) (out versionsOut, err error) {
	st, _ := s.view(ctx)
	c, err := st.find(in.SecretID)
	if err != nil {
		return out, err
	}
	var all []version
	for _, v := range c.versions {
		if in.IncludeDeprecated || c.labelsOf(v.id) != nil {
			all = append(all, v)
		}
	}
	chosen, next, err := cut(in.page, all, 1, func(v version) mark { return mark{v.created.UnixNano(), v.id} })
	out = versionsOut{ref: ref{c.arn, c.name}, NextToken: next, Versions: []versionEntry{}}
	for _, v := range chosen {
		out.Versions = append(out.Versions, versionEntry{
			VersionID: v.id, VersionStages: c.labelsOf(v.id), CreatedDate: stamp(v.created),
			LastAccessedDate: stamp(v.accessed), KmsKeyIDs: []string{cmp.Or(v.kmsKey, "DefaultEncryptionKey")},
		})
	}
	return out, err
}
