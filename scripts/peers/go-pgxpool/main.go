// Go's net/http and pgxpool, written as their documentation has it.
package main

import (
	"context"
	"log"

	"github.com/jackc/pgx/v4/pgxpool"

	peer "../go"
)

func ping(ctx context.Context, pool *pgxpool.Pool) (*peer.Result, error) {
	rows, err := pool.Query(ctx, "select 1")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	r := peer.Result{Command: "SELECT"}
	for _, f := range rows.FieldDescriptions() {
		// The type is the same; the format is text for whoever reads the answer, whatever it was on the wire.
		r.Fields = append(r.Fields, peer.Field{
			string(f.Name), f.TableOID, f.TableAttributeNumber, f.DataTypeOID, f.DataTypeSize, f.TypeModifier, "text"})
	}
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return nil, err
		}
		r.Add(values)
	}
	return &r, rows.Err()
}

func main() {
	config, err := pgxpool.ParseConfig(peer.DatabaseURL())
	if err != nil {
		log.Fatal(err)
	}
	config.MaxConns = peer.Connections
	pool, err := pgxpool.ConnectConfig(context.Background(), config)
	if err != nil {
		log.Fatal(err)
	}
	peer.Serve(func(ctx context.Context) (*peer.Result, error) { return ping(ctx, pool) })
}
