// Package wraptest looks whether wrapped connections have everything that the
// drivers' own have.
package wraptest

import (
	"database/sql/driver"
	"reflect"
	"slices"
	"testing"
)

// Forwards fails the test if bare has a method that wrapped lacks or has with
// other parameters, unless it is named in except: what a driver offers beside
// the interfaces of database/sql.
func Forwards(t testing.TB, bare, wrapped any, except ...string) {
	t.Helper()
	b, w := reflect.TypeOf(bare), reflect.TypeOf(wrapped)
	for i := range b.NumMethod() {
		m := b.Method(i)
		if slices.Contains(except, m.Name) {
			continue
		}
		got, ok := w.MethodByName(m.Name)
		if !ok {
			t.Errorf("%v has %s, which the wrapped connection does not forward", b, m.Name)
			continue
		}
		if want, have := bound(m.Type), bound(got.Type); want != have {
			t.Errorf("%v has %s%v, the wrapped connection %s%v", b, m.Name, want, m.Name, have)
		}
	}
}

// bound is the type of a method without its receiver.
func bound(t reflect.Type) reflect.Type {
	var in, out []reflect.Type
	for i := 1; i < t.NumIn(); i++ {
		in = append(in, t.In(i))
	}
	for i := range t.NumOut() {
		out = append(out, t.Out(i))
	}
	return reflect.FuncOf(in, out, t.IsVariadic())
}

// Raw returns the driver's own connection of one that a pool has lent.
func Raw(t testing.TB, conn any) driver.Conn {
	t.Helper()
	r, ok := conn.(interface{ Raw() driver.Conn })
	if !ok {
		t.Fatalf("a %T has no method Raw", conn)
	}
	return r.Raw()
}
