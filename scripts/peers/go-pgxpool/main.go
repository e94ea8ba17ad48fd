// Go's net/http and pgxpool, written as their documentation has it.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/jackc/pgx/v4/pgxpool"
)

type field struct {
	Name             string `json:"name"`
	TableID          uint32 `json:"tableID"`
	ColumnID         uint16 `json:"columnID"`
	DataTypeID       uint32 `json:"dataTypeID"`
	DataTypeSize     int16  `json:"dataTypeSize"`
	DataTypeModifier int32  `json:"dataTypeModifier"`
	Format           string `json:"format"`
}

type result struct {
	Command  string           `json:"command"`
	RowCount int              `json:"rowCount"`
	Rows     []map[string]any `json:"rows"`
	Fields   []field          `json:"fields"`
}

type answer struct {
	Status bool    `json:"status"`
	Result *result `json:"result,omitempty"`
	Error  string  `json:"error,omitempty"`
}

func write(w http.ResponseWriter, status int, value answer) {
	body, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		log.Fatal(err)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(body)
}

func ping(ctx context.Context, pool *pgxpool.Pool) (*result, error) {
	rows, err := pool.Query(ctx, "select 1")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	r := result{Command: "SELECT"}
	for _, f := range rows.FieldDescriptions() {
		// The type is the same; the format is text for whoever reads the answer, whatever it was on the wire.
		r.Fields = append(r.Fields, field{
			string(f.Name), f.TableOID, f.TableAttributeNumber, f.DataTypeOID, f.DataTypeSize, f.TypeModifier, "text"})
	}
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return nil, err
		}
		row := map[string]any{}
		for i, value := range values {
			row[r.Fields[i].Name] = value
		}
		r.Rows = append(r.Rows, row)
	}
	r.RowCount = len(r.Rows)
	return &r, rows.Err()
}

func main() {
	config, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	config.MaxConns = 10
	pool, err := pgxpool.ConnectConfig(context.Background(), config)
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		write(w, 200, answer{Status: true})
	})
	http.HandleFunc("/ping", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		result, err := ping(ctx, pool)
		if err != nil {
			write(w, 400, answer{Error: err.Error()})
			return
		}
		write(w, 200, answer{Status: true, Result: result})
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
