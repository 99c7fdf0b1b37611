//! One SQL text with bound arguments, as a diesel query that is prepared once and cached by its text.
//!
//! Diesel's tuples end at 32 arguments and its raw queries are prepared on every call; a batch binds 47 flat arrays and
//! is sent thousands of times a second. `?` stands for the next argument.

use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Binary, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{PgConnection, QueryResult, RunQueryDsl};
use std::marker::PhantomData;
use uuid::Uuid;

/// An argument. Arrays are flat and of one type.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Arg<'a> {
    Int(i64),
    Int4(i32),
    OptionInt(Option<i64>),
    Text(&'a str),
    Uuid(Uuid),
    OptionUuid(Option<Uuid>),
    Bytes(&'a [u8]),
    Ints(&'a [i64]),
    OptionInts(&'a [Option<i64>]),
    Int4s(&'a [i32]),
    Uuids(&'a [Uuid]),
    OptionUuids(&'a [Option<Uuid>]),
    ByteArrays(&'a [Vec<u8>]),
    Times(&'a [chrono::DateTime<chrono::Utc>]),
}

/// A statement whose rows are of SQL type `Row` (`()` when it returns none).
pub(crate) struct Statement<'a, Row = ()> {
    text: &'static str,
    args: &'a [Arg<'a>],
    row: PhantomData<Row>,
}

/// The statement `text`, each `?` bound to the next of `args`.
pub(crate) const fn statement<'a, Row>(text: &'static str, args: &'a [Arg<'a>]) -> Statement<'a, Row> {
    Statement { text, args, row: PhantomData }
}

impl<Row> QueryFragment<Pg> for Statement<'_, Row> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let mut args = self.args.iter();
        for (place, part) in self.text.split('?').enumerate() {
            if place > 0 {
                let arg =
                    args.next().ok_or_else(|| diesel::result::Error::QueryBuilderError("too few arguments".into()))?;
                bind(&mut out, arg)?;
            }
            out.push_sql(part);
        }
        Ok(())
    }
}

fn bind<'b>(out: &mut AstPass<'_, 'b, Pg>, arg: &'b Arg<'b>) -> QueryResult<()> {
    match arg {
        Arg::Int(value) => out.push_bind_param::<BigInt, _>(value),
        Arg::Int4(value) => out.push_bind_param::<Integer, _>(value),
        Arg::OptionInt(value) => out.push_bind_param::<Nullable<BigInt>, _>(value),
        Arg::Text(value) => out.push_bind_param::<Text, _>(*value),
        Arg::OptionUuid(value) => out.push_bind_param::<Nullable<SqlUuid>, _>(value),
        Arg::Uuid(value) => out.push_bind_param::<SqlUuid, _>(value),
        Arg::Bytes(value) => out.push_bind_param::<Binary, _>(*value),
        Arg::Ints(values) => out.push_bind_param::<Array<BigInt>, _>(*values),
        Arg::OptionInts(values) => out.push_bind_param::<Array<Nullable<BigInt>>, _>(*values),
        Arg::Int4s(values) => out.push_bind_param::<Array<Integer>, _>(*values),
        Arg::Uuids(values) => out.push_bind_param::<Array<SqlUuid>, _>(*values),
        Arg::OptionUuids(values) => out.push_bind_param::<Array<Nullable<SqlUuid>>, _>(*values),
        Arg::ByteArrays(values) => out.push_bind_param::<Array<Binary>, _>(*values),
        Arg::Times(values) => out.push_bind_param::<Array<Timestamptz>, _>(*values),
    }
}

impl<Row> QueryId for Statement<'_, Row> {
    type QueryId = ();
    // The text is the cache key: no static id.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Row> Query for Statement<'_, Row> {
    type SqlType = Row;
}

impl<Row> RunQueryDsl<PgConnection> for Statement<'_, Row> {}
