// Package schema tells ent of the tables in examples/orders/schema.sql.
package schema

import (
	"time"

	"entgo.io/ent"
	"entgo.io/ent/schema/field"
)

// Item is the table items.
type Item struct{ ent.Schema }

// Fields implements [ent.Interface].
func (Item) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").StorageKey("name"),
		field.Int("stock"),
	}
}

// Order is the table orders.
type Order struct{ ent.Schema }

// Fields implements [ent.Interface].
func (Order) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id"),
		field.String("item"),
		field.Int("quantity"),
		field.Time("placed").StorageKey("placed_at").Default(now),
	}
}

// now is as precise as the database, from which ent does not read back what it
// has filled in.
func now() time.Time { return time.Now().Truncate(time.Microsecond) }
