//! Where sealed bytes belong: a cell of a table, and who owns what is in it.

use std::fmt::Display;

use uuid::Uuid;

/// Longest name or key of a row, in bytes.
const LONGEST: usize = 1024;

/// A column that holds sealed bytes. Its name is part of what is sealed: neither table nor column can be renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Column {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
}

/// Whose a cell is, and so which key seals it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// The tenant's own: its secrets towards others. Goes under a new key when the tenant's key is rotated.
    Tenant,
    /// A person's: gone for good once the person is forgotten.
    Person(Uuid),
}

impl Owner {
    /// The person, if it is one's.
    #[must_use]
    pub const fn person(self) -> Option<Uuid> {
        match self {
            Self::Person(person) => Some(person),
            Self::Tenant => None,
        }
    }
}

/// A place that sealed bytes belong to. They open in this place only.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cell {
    /// The tenant's number.
    pub tenant: i64,
    /// Whose it is.
    pub owner: Owner,
    /// The column.
    pub column: Column,
    /// The rest of the row's primary key, after the tenant, as text.
    pub row: String,
}

impl Cell {
    /// A cell of the tenant's own.
    #[must_use]
    pub fn of_tenant(tenant: i64, column: Column, row: impl Display) -> Self {
        Self { tenant, owner: Owner::Tenant, column, row: row.to_string() }
    }

    /// A cell of a person's.
    #[must_use]
    pub fn of_person(tenant: i64, person: Uuid, column: Column, row: impl Display) -> Self {
        Self { tenant, owner: Owner::Person(person), column, row: row.to_string() }
    }

    /// What is authenticated beside the secret: the place and the version of the key, so that neither can be another.
    pub(super) fn aad(&self, version: i32) -> Vec<u8> {
        let (kind, person) = match self.owner {
            Owner::Tenant => (0, Uuid::nil()),
            Owner::Person(person) => (1, person),
        };
        let Column { table, column } = self.column;
        Words::of("tessera.vault.cell.1")
            .bytes(&self.tenant.to_be_bytes())
            .bytes(&[kind])
            .bytes(person.as_bytes())
            .bytes(table.as_bytes())
            .bytes(column.as_bytes())
            .bytes(self.row.as_bytes())
            .bytes(&version.to_be_bytes())
            .done()
    }

    /// Whether its row's key is of a length that a key can have.
    pub(super) fn is_sane(&self) -> bool {
        self.row.len() <= LONGEST
    }
}

/// Bytes that say where each of their parts ends: each is preceded by its length.
pub(super) struct Words(Vec<u8>);

impl Words {
    pub(super) fn of(tag: &str) -> Self {
        Self(Vec::with_capacity(128)).bytes(tag.as_bytes())
    }

    pub(super) fn bytes(mut self, part: &[u8]) -> Self {
        // A slice's length always fits: usize is at most 64 bits wide.
        self.0.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.extend_from_slice(part);
        self
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn t62_no_two_places_are_the_same_words() {
        let column = |table, column| Column { table, column };
        let person = Uuid::from_u128(1);
        let cells = [
            Cell::of_tenant(1, column("ab", "c"), "d"),
            Cell::of_tenant(1, column("ab", "x"), "d"),
            Cell::of_tenant(1, column("xb", "c"), "d"),
            Cell::of_tenant(2, column("ab", "c"), "d"),
            Cell::of_tenant(1, column("a", "bc"), "d"),
            Cell::of_tenant(1, column("ab", "cd"), ""),
            Cell::of_tenant(1, column("ab", ""), "cd"),
            Cell::of_person(1, Uuid::nil(), column("ab", "c"), "d"),
            Cell::of_person(1, person, column("ab", "c"), "d"),
            Cell::of_person(1, person, column("ab", "c"), person),
        ];
        let words: HashSet<Vec<u8>> = cells.iter().flat_map(|cell| [cell.aad(1), cell.aad(2)]).collect();
        assert_eq!(words.len(), 2 * cells.len());
    }
}
