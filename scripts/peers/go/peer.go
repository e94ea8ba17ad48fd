// Package peer is what the Go peers share: the service, but for its query.
package peer

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"time"
)

// Connections is how many the pool may have.
const Connections = 10

type Field struct {
	Name             string `json:"name"`
	TableID          uint32 `json:"tableID"`
	ColumnID         uint16 `json:"columnID"`
	DataTypeID       uint32 `json:"dataTypeID"`
	DataTypeSize     int16  `json:"dataTypeSize"`
	DataTypeModifier int32  `json:"dataTypeModifier"`
	Format           string `json:"format"`
}

type Result struct {
	Command  string           `json:"command"`
	RowCount int              `json:"rowCount"`
	Rows     []map[string]any `json:"rows"`
	Fields   []Field          `json:"fields"`
}

// Add appends a row with these values, in the order of the fields.
func (r *Result) Add(values []any) {
	row := map[string]any{}
	for i, value := range values {
		row[r.Fields[i].Name] = value
	}
	r.Rows = append(r.Rows, row)
	r.RowCount = len(r.Rows)
}

type answer struct {
	Status bool    `json:"status"`
	Result *Result `json:"result,omitempty"`
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

// DatabaseURL says where the database is.
func DatabaseURL() string { return os.Getenv("DATABASE_URL") }

// Serve answers / and, with what ping returns within a second, /ping. It does not return.
func Serve(ping func(context.Context) (*Result, error)) {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		write(w, 200, answer{Status: true})
	})
	http.HandleFunc("/ping", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		result, err := ping(ctx)
		if err != nil {
			write(w, 400, answer{Error: err.Error()})
			return
		}
		write(w, 200, answer{Status: true, Result: result})
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
