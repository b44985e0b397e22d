// SPDX-License-Identifier: BSD-2-Clause
// JDBC's drivers of PostgreSQL and MariaDB, by URL: as with-psycopg.py and with-pymysql.py.
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;

class WithJdbc {
  static boolean postgresql, prepares;

  /** With the parameter as the driver sends it. */
  static void tell(String text, int parameter, long rows, SQLException error) {
    if (postgresql)
      text = text.replace("?", "$1");
    else if (!prepares)
      text = text.replace("?", "" + parameter);
    tell(text, rows, error);
  }

  static void tell(String text, long rows, SQLException error) {
    String code = error == null ? "" : postgresql ? error.getSQLState() : "" + error.getErrorCode();
    synchronized (WithJdbc.class) {
      System.out.printf("{\"text\": \"%s\", \"rows\": %s, \"error\": \"%s\"}%n", text,
                        error == null && rows >= 0 ? "" + rows : "null", code);
    }
  }

  static long count(ResultSet rows) throws SQLException {
    long n = 0;
    while (rows.next())
      n++;
    return n;
  }

  static void run(Connection conn, String text) {
    try (Statement statement = conn.createStatement()) {
      boolean hasRows = statement.execute(text);
      tell(text, hasRows ? count(statement.getResultSet()) :
                 statement.getUpdateCount() > 0 ? statement.getUpdateCount() : -1, null);
    } catch (SQLException error) {
      tell(text, -1, error);
    }
  }

  static void query(Connection conn, String text, int times, int first, int step) throws SQLException {
    try (PreparedStatement statement = conn.prepareStatement(text)) {
      for (int i = 0; i < times; i++) {
        int parameter = first + i * step;
        statement.setInt(1, parameter);
        try (ResultSet rows = statement.executeQuery()) {
          tell(text, parameter, count(rows), null);
        } catch (SQLException error) {
          tell(text, parameter, -1, error);
        }
      }
    }
  }

  /** The driver sends the batch as it likes: pipelined, or in bulk. */
  static void batch(Connection conn) throws SQLException {
    String text = "INSERT INTO beans (id, name) VALUES (?, ?)";
    try (PreparedStatement statement = conn.prepareStatement(text)) {
      for (int i = 0; i < 300; i++) {
        statement.setInt(1, 1000 + i);
        statement.setString(2, "batched");
        statement.addBatch();
      }
      long sum = 0;
      for (int n : statement.executeBatch())
        sum += n == Statement.SUCCESS_NO_INFO ? 1 : n;
      if (sum != 300)
        throw new IllegalStateException("inserted " + sum);
    }
  }

  public static void main(String[] args) throws Exception {
    String url = args[0];
    postgresql = url.startsWith("jdbc:postgresql:");
    prepares = url.contains("useServerPrepStmts");
    try (Connection conn = DriverManager.getConnection(url)) {
      run(conn, "CREATE TABLE beans (id int PRIMARY KEY, name varchar(20))");
      run(conn, postgresql ? "INSERT INTO beans SELECT i, 'bean' FROM generate_series(1, 400) i"
                           : "INSERT INTO beans SELECT seq, 'bean' FROM seq_1_to_400");
      run(conn, "SELECT * FROM beans");
      query(conn, "SELECT name FROM beans WHERE id > ?", 10, 0, 30); // by name from the fifth on
      run(conn, "SELECT * FROM nowhere");
      run(conn, "INSERT INTO beans VALUES (1, 'twice')");
      if (postgresql)
        query(conn, "SELECT 1 / (id - ?) FROM beans ORDER BY id", 3, 399, 1);
      conn.setAutoCommit(false);
      if (postgresql)
        tell("BEGIN", -1, null);
      query(conn, "SELECT id FROM beans WHERE id < ?", 3, 10, 10);
      try (PreparedStatement statement = conn.prepareStatement("SELECT * FROM beans WHERE id <= ?")) {
        statement.setFetchSize(100); // PostgreSQL: a portal, of which the rows are fetched
        statement.setInt(1, 350);
        if (count(statement.executeQuery()) != 350)
          throw new IllegalStateException();
      }
      batch(conn);
      conn.rollback();
      tell("ROLLBACK", -1, null);
      batch(conn);
      conn.commit();
      tell("COMMIT", -1, null);
      conn.setAutoCommit(true);
      // One of the batch fails: what is behind it is not carried out.
      try (PreparedStatement statement = conn.prepareStatement("UPDATE beans SET id = ? WHERE id = 5")) {
        for (int i = 0; i < 3; i++) {
          statement.setInt(1, 5 + i);
          statement.addBatch();
        }
        statement.executeBatch();
        throw new IllegalStateException();
      } catch (SQLException error) {
        tell("UPDATE beans SET id = ? WHERE id = 5", 6, -1, error);
      }
      Thread[] threads = new Thread[4];
      for (int t = 0; t < threads.length; t++) {
        threads[t] = new Thread(() -> {
          try (Connection own = DriverManager.getConnection(url)) {
            query(own, "SELECT id FROM beans WHERE id BETWEEN ? AND 40", 25, 0, 1);
          } catch (SQLException error) {
            throw new IllegalStateException(error);
          }
        });
        threads[t].start();
      }
      for (Thread thread : threads)
        thread.join();
      run(conn, "DROP TABLE beans");
    }
  }
}
