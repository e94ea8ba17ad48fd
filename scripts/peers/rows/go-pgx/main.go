// Reads all rows of STATEMENT from DATABASE_URL with pgx, and scans each into Go's types.
package main

import (
	"context"
	"log"
	"os"
	"time"

	"github.com/jackc/pgx/v4"
)

func main() {
	ctx := context.Background()
	connection, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close(ctx)
	rows, err := connection.Query(ctx, os.Getenv("STATEMENT"))
	if err != nil {
		log.Fatal(err)
	}
	count := 0
	for rows.Next() {
		var a int
		var b int64
		var c string
		var d float64
		var e time.Time
		if err := rows.Scan(&a, &b, &c, &d, &e); err != nil {
			log.Fatal(err)
		}
		count++
	}
	if rows.Err() != nil || count == 0 {
		log.Fatal(rows.Err(), count)
	}
}
