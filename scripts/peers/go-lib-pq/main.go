// Go's net/http, database/sql and lib/pq, written as their documentation has it.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"time"

	_ "github.com/lib/pq"
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

func ping(ctx context.Context, pool *sql.DB) (*result, error) {
	rows, err := pool.QueryContext(ctx, "select 1")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	r := result{Command: "SELECT"}
	columns, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	for _, c := range columns {
		// database/sql tells the name of the type only.
		id := map[string]uint32{"INT4": 23}[c.DatabaseTypeName()]
		r.Fields = append(r.Fields, field{c.Name(), 0, 0, id, 4, -1, "text"})
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
	pool, err := sql.Open("postgres", os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	pool.SetMaxOpenConns(10)
	pool.SetMaxIdleConns(10)
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
