//! SQL in tests: whole statements in, one typed column out.

use diesel::connection::SimpleConnection;
use diesel::deserialize::FromSqlRow;
use diesel::pg::Pg;
use diesel::query_builder::QueryId;
use diesel::sql_types::{HasSqlType, SingleValue, SqlType};
use diesel::{Connection, PgConnection, RunQueryDsl};

/// Runs statements on a new connection.
pub fn run_sql(url: &str, statements: &str) {
    let mut conn = PgConnection::establish(url).unwrap();
    conn.batch_execute(statements).unwrap_or_else(|error| panic!("{error}: {statements}"));
}

/// The one value of an expression: `scalar::<BigInt, i64>(url, "(SELECT count(*) FROM journal.key)")`.
pub fn scalar<Sql, T>(url: &str, expression: &str) -> T
where
    Sql: SqlType + SingleValue + QueryId + 'static,
    Pg: HasSqlType<Sql>,
    T: FromSqlRow<Sql, Pg> + 'static,
{
    let mut conn = PgConnection::establish(url).unwrap();
    let found = diesel::select(diesel::dsl::sql::<Sql>(expression)).get_result(&mut conn);
    found.unwrap_or_else(|error| panic!("{error}: {expression}"))
}

/// Rows as text, each field in PostgreSQL's own spelling: `rows(url, "SELECT seq, leg FROM journal.transfer")`.
pub fn rows(url: &str, select: &str) -> Vec<Vec<Option<String>>> {
    #[derive(diesel::QueryableByName)]
    struct Line {
        #[diesel(sql_type = diesel::sql_types::Array<diesel::sql_types::Nullable<diesel::sql_types::Text>>)]
        fields: Vec<Option<String>>,
    }
    let mut conn = PgConnection::establish(url).unwrap();
    // json_each keeps a row's columns in their order.
    let text =
        format!("SELECT (SELECT array_agg(value) FROM json_each_text(row_to_json(q))) AS fields FROM ({select}) q");
    let lines: Vec<Line> = diesel::sql_query(text).load(&mut conn).unwrap_or_else(|error| panic!("{error}: {select}"));
    lines.into_iter().map(|line| line.fields).collect()
}
