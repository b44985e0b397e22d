// SPDX-License-Identifier: BSD-2-Clause
// pgx PORT: as with-psycopg.py.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"sql-clients/told"
)

type asker interface {
	Query(context.Context, string, ...any) (pgx.Rows, error)
}

var ctx = context.Background()

func tell(text string, rows any, err error) {
	code := ""
	if err != nil {
		var said *pgconn.PgError
		if !errors.As(err, &said) {
			told.Check(err)
		}
		rows, code = nil, said.Code
	}
	told.Statement(text, rows, code)
}

func run(conn asker, text string, args ...any) {
	rows, err := conn.Query(ctx, text, args...)
	if err == nil {
		rows.Close()
		err = rows.Err()
	}
	tell(text, rows.CommandTag().RowsAffected(), err)
}

func main() {
	config, err := pgxpool.ParseConfig("host=127.0.0.1 user=postgres dbname=postgres pool_max_conns=4 port=" +
		os.Args[1])
	told.Check(err)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	told.Check(err)
	conn, err := pool.Acquire(ctx)
	told.Check(err)
	_, err = conn.Exec(ctx, "CREATE TABLE gophers (id int PRIMARY KEY, name text)")
	tell("CREATE TABLE gophers (id int PRIMARY KEY, name text)", nil, err)
	run(conn, "INSERT INTO gophers SELECT i, 'gopher ' || i FROM generate_series(1, 400) i")
	run(conn, "SELECT * FROM gophers")
	// Each of its modes: prepared once, described once, without names, and the simple protocol.
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe,
		pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec} {
		for i := range 5 {
			run(conn, fmt.Sprintf("SELECT name FROM gophers WHERE id > $1 -- mode %d", mode), mode, 10*i)
		}
	}
	run(conn, "SELECT id FROM gophers WHERE name = 'simple'", pgx.QueryExecModeSimpleProtocol)
	run(conn, "SELECT * FROM nowhere")
	run(conn, "SELECT 1 / (id - $1) FROM gophers ORDER BY id", 300)

	tx, err := conn.Begin(ctx)
	tell("begin", nil, err)
	run(tx, "UPDATE gophers SET name = $1 WHERE id < 11", "x")
	run(tx, "INSERT INTO gophers VALUES ($1, 'twice')", 1)
	run(tx, "SELECT 'passed over'")
	tell("rollback", nil, tx.Rollback(ctx))

	batch := &pgx.Batch{}
	for i := range 100 {
		batch.Queue("SELECT name FROM gophers WHERE id <= $1 -- batch", i)
	}
	results := conn.SendBatch(ctx, batch)
	for range 100 {
		tag, err := results.Exec()
		tell("SELECT name FROM gophers WHERE id <= $1 -- batch", tag.RowsAffected(), err)
	}
	told.Check(results.Close())

	n, err := conn.CopyFrom(ctx, pgx.Identifier{"gophers"}, []string{"id", "name"},
		pgx.CopyFromSlice(2000, func(i int) ([]any, error) { return []any{1000 + i, "copied"}, nil }))
	tell(`copy "gophers" ( "id", "name" ) from stdin binary;`, n, err)
	conn.Release()

	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for k := range 25 {
				run(pool, "SELECT id FROM gophers WHERE id BETWEEN $1 AND $2", k, k+10*i)
			}
		})
	}
	group.Wait()
	run(pool, "DELETE FROM gophers WHERE id < $1", 100)
	_, err = pool.Exec(ctx, "DROP TABLE gophers")
	tell("DROP TABLE gophers", nil, err)
	pool.Close()
}
