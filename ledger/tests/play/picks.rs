//! Which rows of the past a random request means, known when it is asked and not before.

use ledger::{Amount, Group, How, LegRef, Request, RowKind, Transfer};

use super::{Desk, well_formed};
use crate::requests::{Asked, Manner, Pick};

impl Desk {
    /// The requests of a batch as they are asked of these books: each may mean what one before it in the batch does.
    pub fn asked(&self, asked: &Asked) -> Vec<Request> {
        let mut ahead = self.clone();
        let resolve = |request: &Request| {
            let mut request = request.clone();
            if let ledger::Command::Transact { transfers, groups, .. } = &mut request.command {
                let grouped =
                    groups.iter_mut().flat_map(|Group { transfers, fallback }| transfers.iter_mut().chain(fallback));
                transfers.iter_mut().chain(grouped).for_each(|transfer| ahead.resolve(transfer));
            }
            ahead.commit(&well_formed(std::slice::from_ref(&request)), asked.now_us);
            request
        };
        asked.requests.iter().map(resolve).collect()
    }

    /// Those of them that would be let into the queue.
    pub fn well_formed(&self, asked: &Asked) -> Vec<Request> {
        well_formed(&self.asked(asked))
    }

    fn resolve(&self, transfer: &mut Transfer) {
        let Some(pick) = transfer.refers_to().and_then(Pick::of) else { return };
        let seen = match transfer.how {
            How::Refund { .. } => self.row(pick.which),
            How::Move | How::UpTo | How::Owing | How::Hold { .. } | How::Capture { .. } | How::Void { .. } => {
                self.hold(pick.which)
            }
        };
        let Some((place, seen, left)) = seen else {
            // There is none yet.
            transfer.how = How::Move;
            return;
        };
        match &mut transfer.how {
            How::Capture { hold } | How::Void { hold } => *hold = place,
            How::Refund { of, .. } => *of = place,
            How::Move | How::UpTo | How::Owing | How::Hold { .. } => {}
        }
        if pick.manner != Manner::Astray {
            (transfer.debit, transfer.credit) = (seen.debit, seen.credit);
        }
        let minor = match pick.manner {
            Manner::Whole | Manner::Astray => left.max(1),
            Manner::Part => transfer.amount.minor.min(left.max(1)),
            Manner::More => left + 1,
        };
        let minor = if transfer.amount.minor == 0 { 0 } else { minor };
        transfer.amount = Amount::new(minor, seen.amount.asset);
        let keeps_lots = self.state.account(transfer.credit).is_some_and(|account| account.nature.keeps_lots());
        transfer.lot = transfer.lot.filter(|_| keeps_lots);
    }

    /// The hold that is meant, mostly one that is open, as a transfer that captures it, and how much is left of it.
    fn hold(&self, which: usize) -> Option<(LegRef, Transfer, i64)> {
        let open_only = !which.is_multiple_of(4);
        let holds: Vec<_> = self.holds.iter().rev().filter(|(_, hold)| !open_only || hold.remaining > 0).collect();
        let (place, hold) = holds.get(which % holds.len().max(1))?;
        let [debit, credit] = [hold.debit, hold.credit].map(|id| self.state.accounts[&id].public_id);
        Some((**place, Transfer::moving(debit, credit, hold.amount), hold.remaining))
    }

    /// The row that is meant, mostly one that can be moved back, as a transfer that does, and how much is left of it.
    fn row(&self, which: usize) -> Option<(LegRef, Transfer, i64)> {
        let any = which.is_multiple_of(8);
        let moves =
            |row: &ledger::Posted| row.kind == RowKind::Capture || row.kind == RowKind::Move && row.of().is_none();
        let rows: Vec<_> = self.rows.iter().rev().filter(|(_, (row, _))| any || moves(row)).collect();
        let (place, (row, _)) = rows.get(which % rows.len().max(1))?;
        let left = row.amount.minor - self.refunded.get(place).copied().unwrap_or(0);
        Some((**place, Transfer::moving(row.credit.public_id, row.debit.public_id, row.amount), left))
    }
}
