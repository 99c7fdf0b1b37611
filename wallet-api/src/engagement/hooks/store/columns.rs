//! Rows as columns: one array for each field, unnested in the select list, in step.
//!
//! In FROM, PostgreSQL would first store each array. A fragment of SQL: as an argument of a
//! [`statement`](super::statement::statement), `SELECT ?` becomes `SELECT unnest($1), unnest($2), …`.

use diesel::QueryResult;
use diesel::expression::{AsExpression, TypedExpressionType};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment};
use diesel::sql_types::{Array, BigInt, Integer, SqlType, Uuid as SqlUuid};

use super::bulk::Place;

/// See the module.
pub(super) struct Columns<'a, R> {
    rows: &'a [R],
    columns: Vec<Box<dyn QueryFragment<Pg> + 'a>>,
}

impl<'a, R> Columns<'a, R> {
    /// No column yet.
    pub(super) fn of(rows: &'a [R]) -> Self {
        Self { rows, columns: Vec::new() }
    }

    /// The next column: a field of SQL type `S`.
    pub(super) fn with<S, T>(mut self, field: impl Fn(&'a R) -> T) -> Self
    where
        Array<S>: SqlType + TypedExpressionType,
        Vec<T>: AsExpression<Array<S>>,
        <Vec<T> as AsExpression<Array<S>>>::Expression: QueryFragment<Pg> + 'a,
    {
        let values: Vec<T> = self.rows.iter().map(field).collect();
        self.columns.push(Box::new(values.into_sql::<Array<S>>()));
        self
    }

    /// The next four columns: the key of a delivery.
    pub(super) fn with_key(self, place: impl Fn(&'a R) -> Place) -> Self {
        self.with::<BigInt, _>(|row| place(row).tenant)
            .with::<SqlUuid, _>(|row| place(row).endpoint)
            .with::<BigInt, _>(|row| place(row).seq)
            .with::<Integer, _>(|row| place(row).ordinal)
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
