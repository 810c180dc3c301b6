-- name: TakeItem :execrows
update items set stock = stock - @quantity where name = @name and stock >= @quantity;

-- name: NoteOrder :one
insert into orders (item, quantity) values ($1, $2) returning *;

-- name: GetOrder :one
select * from orders where id = $1;

-- name: LatestOrders :many
select * from orders order by id desc limit @most::bigint;
