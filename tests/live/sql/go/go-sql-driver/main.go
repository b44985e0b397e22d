// SPDX-License-Identifier: BSD-2-Clause
// go-sql-driver PORT: as with-pymysql.py.
package main

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"

	"github.com/go-sql-driver/mysql"

	"sql-clients/told"
)

type asker interface {
	Query(string, ...any) (*sql.Rows, error)
	Exec(string, ...any) (sql.Result, error)
}

func tell(text string, rows any, err error) {
	code := ""
	if err != nil {
		var said *mysql.MySQLError
		if !errors.As(err, &said) {
			told.Check(err)
		}
		rows, code = nil, strconv.Itoa(int(said.Number))
	}
	told.Statement(text, rows, code)
}

func read(rows *sql.Rows, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		n++
	}
	return n, rows.Err()
}

// With arguments the driver prepares, executes and closes a statement.
func query(db asker, text string, args ...any) {
	n, err := read(db.Query(text, args...))
	tell(text, n, err)
}

func exec(db asker, text string, args ...any) {
	result, err := db.Exec(text, args...)
	var n int64
	if err == nil {
		n, err = result.RowsAffected()
	}
	tell(text, n, err)
}

func main() {
	db, err := sql.Open("mysql", "alice:hunter2@tcp(127.0.0.1:"+os.Args[1]+")/shop")
	told.Check(err)
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(4)
	exec(db, "CREATE TABLE gophers (id int PRIMARY KEY, name text)")
	exec(db, "INSERT INTO gophers SELECT seq, 'gopher' FROM seq_1_to_400")
	query(db, "SELECT * FROM gophers")
	query(db, "SELECT name FROM gophers WHERE id < ?", 300)
	query(db, "SELECT * FROM nowhere")
	query(db, "SELECT * FROM nowhere WHERE id = ?", 1)
	exec(db, "INSERT INTO gophers VALUES (?, ?)", 1, "twice")

	prepared, err := db.Prepare("SELECT id FROM gophers WHERE id > ? AND name = ?")
	told.Check(err)
	for i := range 10 {
		n, err := read(prepared.Query(40*i, "gopher"))
		tell("SELECT id FROM gophers WHERE id > ? AND name = ?", n, err)
	}
	told.Check(prepared.Close())

	tx, err := db.Begin()
	tell("START TRANSACTION", 0, err)
	exec(tx, "UPDATE gophers SET name = ? WHERE id < 11", "x")
	exec(tx, "INSERT INTO gophers VALUES (1, 'again')")
	query(tx, "SELECT name FROM gophers WHERE name = 'x'")
	tell("ROLLBACK", 0, tx.Rollback())

	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for k := range 25 {
				query(db, "SELECT id FROM gophers WHERE id BETWEEN ? AND ?", k, k+10*i)
				query(db, fmt.Sprintf("SELECT name FROM gophers WHERE id <= %d", 25*i+k))
			}
		})
	}
	group.Wait()
	exec(db, "DELETE FROM gophers WHERE id < ?", 100)
	exec(db, "DROP TABLE gophers")
	told.Check(db.Close())
}
