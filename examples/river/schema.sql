create table shipments (
	order_id   bigint primary key references orders,
	shipped_at timestamptz not null default now()
);
