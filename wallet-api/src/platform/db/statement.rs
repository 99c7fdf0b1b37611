//! One SQL text with typed arguments, as a diesel query that is prepared once per session and found again by its text.
//!
//! Diesel has no `unnest`, and prepares its raw queries anew on each call; these run hundreds of times a second. `?`
//! stands for the next argument. For stores, and for what is asked set by set: one row's statements are diesel's own.

use std::marker::PhantomData;

use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::Error as SqlError;
use diesel::{PgConnection, QueryResult, RunQueryDsl};

/// An argument: a value `into_sql` of its SQL type, or [`Columns`](super::Columns).
pub type Arg<'a> = &'a dyn QueryFragment<Pg>;

/// A statement, made by [`statement`], whose rows are of SQL type `Row` (`()` when it returns none).
pub struct Statement<'a, Row = ()> {
    text: &'static str,
    args: &'a [Arg<'a>],
    row: PhantomData<Row>,
}

/// The statement `text`, each `?` bound to the next of `args`.
pub const fn statement<'a, Row>(text: &'static str, args: &'a [Arg<'a>]) -> Statement<'a, Row> {
    Statement { text, args, row: PhantomData }
}

impl<Row> QueryFragment<Pg> for Statement<'_, Row> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let mut args = self.args.iter();
        for (place, part) in self.text.split('?').enumerate() {
            if place > 0 {
                let missing = || SqlError::QueryBuilderError("too few arguments".into());
                args.next().ok_or_else(missing)?.walk_ast(out.reborrow())?;
            }
            out.push_sql(part);
        }
        Ok(())
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
