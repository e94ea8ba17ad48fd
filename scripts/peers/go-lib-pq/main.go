// Go's net/http, database/sql and lib/pq, written as their documentation has it.
package main

import (
	"context"
	"database/sql"
	"log"

	_ "github.com/lib/pq"

	peer "../go"
)

func ping(ctx context.Context, pool *sql.DB) (*peer.Result, error) {
	rows, err := pool.QueryContext(ctx, "select 1")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	r := peer.Result{Command: "SELECT"}
	columns, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	for _, c := range columns {
		// database/sql tells the name of the type only.
		id := map[string]uint32{"INT4": 23}[c.DatabaseTypeName()]
		r.Fields = append(r.Fields, peer.Field{c.Name(), 0, 0, id, 4, -1, "text"})
	}
	for rows.Next() {
		values := make([]any, len(columns))
		targets := make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		r.Add(values)
	}
	return &r, rows.Err()
}

func main() {
	pool, err := sql.Open("postgres", peer.DatabaseURL())
	if err != nil {
		log.Fatal(err)
	}
	pool.SetMaxOpenConns(peer.Connections)
	pool.SetMaxIdleConns(peer.Connections)
	peer.Serve(func(ctx context.Context) (*peer.Result, error) { return ping(ctx, pool) })
}
