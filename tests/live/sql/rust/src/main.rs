// SPDX-License-Identifier: BSD-2-Clause
// tokio-postgres PORT: as with-psycopg.py.
use bytes::Bytes;
use futures_util::{future::join_all, SinkExt};
use tokio_postgres::{types::ToSql, Client, Error, NoTls, SimpleQueryMessage};

fn tell(text: &str, rows: Option<u64>, error: Option<Error>) {
    let code = error.map_or(String::new(), |e| e.code().expect("of the server").code().into());
    let rows = if code.is_empty() { rows } else { None };
    let rows = rows.map_or("null".into(), |n| n.to_string());
    let text = text.replace('"', "\\\"");
    println!("{{\"text\": \"{text}\", \"rows\": {rows}, \"error\": \"{code}\"}}");
}

async fn connect(port: &str) -> Client {
    let config = format!("host=127.0.0.1 port={port} user=postgres dbname=postgres");
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

// In the simple protocol.
async fn simple(client: &Client, text: &str) {
    match client.simple_query(text).await {
        Ok(messages) => {
            let rows = messages.iter().find_map(|m| match m {
                SimpleQueryMessage::CommandComplete(n) => Some(*n),
                _ => None,
            });
            tell(text, rows.filter(|n| *n > 0), None)
        }
        Err(error) => tell(text, None, Some(error)),
    }
}

// Prepares, executes and closes a statement.
async fn query(client: &Client, text: &str, args: &[&(dyn ToSql + Sync)]) {
    match client.query(text, args).await {
        Ok(rows) => tell(text, Some(rows.len() as u64), None),
        Err(error) => tell(text, None, Some(error)),
    }
}

async fn all(port: &str) {
    let mut client = connect(port).await;
    simple(&client, "CREATE TABLE crabs (id int PRIMARY KEY, name text)").await;
    simple(&client, "INSERT INTO crabs SELECT i, 'crab ' || i FROM generate_series(1, 400) i").await;
    simple(&client, "SELECT * FROM crabs").await;
    query(&client, "SELECT name FROM crabs WHERE id > $1", &[&100]).await;
    query(&client, "SELECT * FROM nowhere", &[]).await;
    query(&client, "SELECT 1 / (id - $1) FROM crabs ORDER BY id", &[&300]).await;

    let text = "SELECT id FROM crabs WHERE id <= $1";
    let prepared = client.prepare(text).await.unwrap();
    for i in 0..5 {
        let rows = client.query(&prepared, &[&(10 * i)]).await.unwrap();
        tell(text, Some(rows.len() as u64), None);
    }
    // Pipelined: some of them fail, each behind a Sync of its own.
    let text = "SELECT 100 / (id - $1) FROM crabs WHERE id < 6";
    let piped = client.prepare(text).await.unwrap();
    let numbers: Vec<i32> = (0..100).collect();
    let args: Vec<[&(dyn ToSql + Sync); 1]> = numbers.iter().map(|n| [n as &(dyn ToSql + Sync)]).collect();
    for result in join_all(args.iter().map(|args| client.query(&piped, args))).await {
        match result {
            Ok(rows) => tell(text, Some(rows.len() as u64), None),
            Err(error) => tell(text, None, Some(error)),
        }
    }

    let transaction = client.transaction().await.unwrap();
    tell("BEGIN", None, None);
    let text = "UPDATE crabs SET name = $1 WHERE id < 11";
    tell(text, Some(transaction.execute(text, &[&"x"]).await.unwrap()), None);
    transaction.commit().await.unwrap();
    tell("COMMIT", None, None);

    let text = "COPY crabs FROM STDIN";
    let sink = client.copy_in(text).await.unwrap();
    futures_util::pin_mut!(sink);
    for i in 1000..3000 {
        sink.send(Bytes::from(format!("{i}\tcopied\n"))).await.unwrap();
    }
    tell(text, Some(sink.finish().await.unwrap()), None);

    let others = join_all((0..4).map(|_| connect(port))).await;
    join_all(others.iter().map(|other| async move {
        for k in 0..25 {
            query(other, "SELECT id FROM crabs WHERE id BETWEEN $1 AND 30", &[&k]).await;
        }
    }))
    .await;
    simple(&client, "DROP TABLE crabs").await;
}

fn main() {
    let port = std::env::args().nth(1).unwrap();
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(all(&port));
}
