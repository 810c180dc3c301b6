package smserver

import (
	"context"
	"crypto/rand"
	"math/big"
	"strings"
)

type passwordIn struct {
	PasswordLength          *int
	ExcludeCharacters       string
	ExcludeNumbers          bool
	ExcludePunctuation      bool
	ExcludeUppercase        bool
	ExcludeLowercase        bool
	IncludeSpace            bool
	RequireEachIncludedType *bool // nil: yes
}

type passwordOut struct{ RandomPassword string }

func (s *Store) getRandomPassword(_ context.Context, in passwordIn) (out passwordOut, err error) {
	length := 32
	if in.PasswordLength != nil {
		length = *in.PasswordLength
	}
	if length < 1 || length > 4096 {
		return out, invalid("passwordLength", "have value between 1 and 4096")
	}
	var kinds []string
	for _, kind := range []struct {
		letters string
		left    bool
	}{
		{"abcdefghijklmnopqrstuvwxyz", in.ExcludeLowercase},
		{"ABCDEFGHIJKLMNOPQRSTUVWXYZ", in.ExcludeUppercase},
		{"0123456789", in.ExcludeNumbers},
		{"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", in.ExcludePunctuation},
		{" ", !in.IncludeSpace},
	} {
		letters := strings.Map(func(r rune) rune {
			if strings.ContainsRune(in.ExcludeCharacters, r) {
				return -1
			}
			return r
		}, kind.letters)
		if !kind.left && letters != "" {
			kinds = append(kinds, letters)
		}
	}
	each := in.RequireEachIncludedType == nil || *in.RequireEachIncludedType
	switch {
	case kinds == nil:
		return out, refuse(badParameter, "There are no characters left for a password.")
	case each && length < len(kinds):
		return out, refuse(badParameter, "Password length is too short based on the required types.")
	}
	var password []byte
	if each {
		for _, letters := range kinds {
			password = append(password, letters[random(len(letters))])
		}
	}
	for all := strings.Join(kinds, ""); len(password) < length; {
		password = append(password, all[random(len(all))])
	}
	for i := range password {
		j := i + random(len(password)-i)
		password[i], password[j] = password[j], password[i]
	}
	return passwordOut{string(password)}, nil
}

func random(n int) int {
	i, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil {
		panic(err) // never
	}
	return int(i.Int64())
}
