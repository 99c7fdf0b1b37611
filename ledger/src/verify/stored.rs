//! What is stored of accounts, holds and lots, held against what the walk found of them.

use diesel::PgConnection;

use super::account::Folded;
use super::books::Books;
use super::rows::{AccountRow, lots};
use super::{Broken, Check, Stop, broken};
use crate::apply::Map;
use crate::{AccountId, JournalId};

impl Books {
    /// Lots and open holds against those stored.
    pub(super) fn check_stored_lots(&mut self, conn: &mut PgConnection, journal: JournalId) -> Result<(), Stop> {
        let Some(kept) = &mut self.kept else { return self.check_sums_of_lots(conn, journal) };
        kept.check_open_holds()?;
        lots(conn, journal, |row| Ok(kept.check_lot(&row)?))?;
        Ok(kept.check_no_lot_is_left()?)
    }

    /// Where lots and holds could not be derived, that they add up to what their accounts have.
    fn check_sums_of_lots(&self, conn: &mut PgConnection, journal: JournalId) -> Result<(), Stop> {
        let mut sums: Map<AccountId, (i64, i64)> = Map::default();
        lots(conn, journal, |row| {
            let (remaining, held) = sums.entry(row.account).or_default();
            *remaining = remaining.saturating_add(row.remaining);
            *held = held.saturating_add(row.held);
            Ok(())
        })?;
        let mut accounts: Vec<(&AccountId, &Folded)> = self.accounts.iter().collect();
        accounts.sort_unstable_by_key(|(id, _)| **id);
        for (id, account) in accounts {
            let fails = |check, what: &str| broken(check, id.0, format!("account {}: {what}", id.0));
            if self.held.get(id).copied().unwrap_or(0) != account.held {
                return Err(fails(Check::Holds, "its open holds do not add up to what it holds").into());
            }
            let wanted = if account.lots().0 { (account.balance.max(account.held), account.held) } else { (0, 0) };
            if sums.get(id).copied().unwrap_or_default() != wanted {
                return Err(fails(Check::Lots, "its lots do not add up to what it has").into());
            }
        }
        Ok(())
    }

    /// Account rows against what their records said.
    pub(super) fn check_stored_accounts(&self) -> Result<(), Broken> {
        let mut stored: Vec<&AccountRow> = self.stored.values().collect();
        stored.sort_by_key(|row| row.id);
        for row in stored {
            let fails = |check, what: &str| broken(check, row.id.0, format!("account {}: {what}", row.id.0));
            let account = self.accounts.get(&row.id).ok_or_else(|| fails(Check::Accounts, "no record opened it"))?;
            if !account.is_stored_as(row) {
                return Err(fails(Check::Accounts, "its row does not say what its records say"));
            }
            let empty = row.version == 0 && (row.balance, row.held) != (0, 0);
            if row.version > account.version || row.version < 0 || empty {
                return Err(fails(Check::Checkpoints, "its checkpoint is at no version it had"));
            }
        }
        match self.accounts.keys().find(|id| !self.stored.contains_key(id)) {
            Some(id) => Err(broken(Check::Accounts, id.0, "the account has a record and no row")),
            None => Ok(()),
        }
    }
}
