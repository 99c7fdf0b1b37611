//! Rows as columns: one array for each field, unnested in the select list, in step.
//!
//! In FROM, PostgreSQL would first store each array. A fragment of SQL: as an argument of a
//! [`statement`](super::statement()), `SELECT ?` becomes `SELECT unnest($1), unnest($2), …`.

use diesel::QueryResult;
use diesel::expression::{AsExpression, TypedExpressionType};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment};
use diesel::sql_types::{Array, SqlType};

/// See the module.
pub struct Columns<'a, R> {
    rows: &'a [R],
    columns: Vec<Box<dyn QueryFragment<Pg> + 'a>>,
}

impl<'a, R> Columns<'a, R> {
    /// No column yet.
    #[must_use]
    pub fn of(rows: &'a [R]) -> Self {
        Self { rows, columns: Vec::new() }
    }

    /// The next column: a field of SQL type `S`.
    #[must_use]
    pub fn with<S, T>(mut self, field: impl Fn(&'a R) -> T) -> Self
    where
        Array<S>: SqlType + TypedExpressionType,
        Vec<T>: AsExpression<Array<S>>,
        <Vec<T> as AsExpression<Array<S>>>::Expression: QueryFragment<Pg> + 'a,
    {
        let values: Vec<T> = self.rows.iter().map(field).collect();
        self.columns.push(Box::new(values.into_sql::<Array<S>>()));
        self
    }
}

impl<R> QueryFragment<Pg> for Columns<'_, R> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        for (place, column) in self.columns.iter().enumerate() {
            out.push_sql(if place > 0 { ", unnest(" } else { "unnest(" });
            column.walk_ast(out.reborrow())?;
            out.push_sql(")");
        }
        Ok(())
    }
}
