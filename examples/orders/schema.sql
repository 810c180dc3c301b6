create table items (
	name  text primary key,
	stock integer not null check (stock >= 0)
);

create table orders (
	id        bigint generated always as identity primary key,
	item      text not null references items,
	quantity  integer not null check (quantity > 0),
	placed_at timestamptz not null default now()
);

insert into items values ('tea', 1000000000), ('coffee', 3);
