package smserver

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"slices"
)

// A page is the part of a list that is asked for.
type page struct {
	MaxResults *int
	NextToken  string
}

// A mark says where in a list something is: it does not move when others are
// added or deleted.
type mark struct {
	Created int64
	Name    string
}

func (m mark) compare(o mark) int {
	return cmp.Or(cmp.Compare(m.Created, o.Created), cmp.Compare(m.Name, o.Name))
}

// cut sorts a list and returns a page of it and the token of the next one.
func cut[T any](p page, all []T, order int, at func(T) mark) (part []T, next string, err error) {
	size := 100
	if p.MaxResults != nil {
		size = *p.MaxResults
	}
	if size < 1 || size > 100 {
		return nil, "", invalid("maxResults", "have value between 1 and 100")
	}
	slices.SortFunc(all, func(a, b T) int { return order * at(a).compare(at(b)) })
	if p.NextToken != "" {
		var last mark
		text, err := base64.RawURLEncoding.DecodeString(p.NextToken)
		if err != nil || json.Unmarshal(text, &last) != nil {
			return nil, "", refuse(badNextToken, "The NextToken is not one from an earlier answer.")
		}
		all = slices.DeleteFunc(all, func(e T) bool { return order*at(e).compare(last) <= 0 })
	}
	if len(all) <= size {
		return all, "", nil
	}
	text, err := json.Marshal(at(all[size-1]))
	return all[:size], base64.RawURLEncoding.EncodeToString(text), err
}
