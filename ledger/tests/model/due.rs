//! What time brings about: holds and lots that end, allowances that begin anew.

use ledger::{Amount, Body, Command, LegRef, More, Nature, Posted, Refusal, RowKind};
use uuid::Uuid;

use super::accounts::Asked;
use super::lots::sum;
use super::moves::said;
use super::{Model, small};

/// The accounts on which a request makes happen what is due, in that order.
pub fn touched(command: &Command) -> Vec<Uuid> {
    match command {
        Command::Transact { transfers, groups, .. } => {
            let grouped = groups.iter().flat_map(|group| group.transfers.iter().chain(&group.fallback));
            transfers.iter().chain(grouped).flat_map(|transfer| [transfer.debit, transfer.credit]).collect()
        }
        Command::Change { account, .. } => vec![*account],
        // It is answered by what is due, which is no more than that.
        Command::Sweep { .. } => Vec::new(),
        Command::Open(_) | Command::Freeze { .. } | Command::MoveClock { .. } | Command::Abandon => Vec::new(),
    }
}

impl Model {
    pub(super) fn is_due(&self, account: Uuid) -> bool {
        let Some(page) = self.accounts.get(&account) else { return false };
        let quota = matches!(page.terms.nature, Nature::Quota { .. });
        let mut lots = page.lots.iter();
        let lots = lots.any(|(lot, stock)| lot.expires_us <= self.now_us && stock.remaining > stock.held);
        lots || (quota && page.period_us <= self.now_us) || !self.expired_holds(account).is_empty()
    }

    fn expired_holds(&self, account: Uuid) -> Vec<LegRef> {
        let open = self.holds.iter().filter(|(_, hold)| hold.debit == account && hold.remaining > 0);
        let mut expired: Vec<_> = open
            .filter(|(_, hold)| hold.expires_us <= self.now_us)
            .map(|(place, hold)| (hold.expires_us, *place))
            .collect();
        expired.sort_unstable();
        expired.into_iter().map(|(_, place)| place).collect()
    }

    /// Writes down what is due on an account.
    pub(super) fn fall_due(&mut self, account: Uuid) -> Result<(), Refusal> {
        let mut transfers = Vec::new();
        for hold in self.expired_holds(account) {
            transfers.push(self.release(hold, RowKind::Expire)?);
        }
        transfers.extend(self.expire_lots(account)?);
        let page = &self.accounts[&account];
        if let Nature::Quota { allowance, period, calendar, .. } = page.terms.nature
            && page.period_us <= self.now_us
        {
            let difference = i128::from(allowance) - page.balance;
            self.page(account).period_us = period.around(calendar, self.now_us).1;
            transfers.extend(self.reset(account, difference)?);
        }
        self.write_due(account, transfers);
        Ok(())
    }

    fn expire_lots(&mut self, account: Uuid) -> Result<Option<Posted>, Refusal> {
        let page = &self.accounts[&account];
        let Nature::Lots { breakage, .. } = page.terms.nature else { return Ok(None) };
        let expired = page.pick(i128::MAX, |lot| lot.expires_us <= self.now_us);
        if expired.is_empty() {
            return Ok(None);
        }
        let asset = page.terms.asset;
        self.page(account).restock(&expired, -1, 0);
        self.time_moves(account, breakage, sum(&expired), asset, More { debit_lots: expired, ..More::default() })
            .map(Some)
    }

    /// An allowance that changed: what is left of the present period changes by as much.
    pub(super) fn allow(&mut self, account: Uuid, difference: i128) -> Result<(), Refusal> {
        let transfers = self.reset(account, difference)?.into_iter().collect();
        self.write_due(account, transfers);
        Ok(())
    }

    fn reset(&mut self, account: Uuid, difference: i128) -> Result<Option<Posted>, Refusal> {
        let page = &self.accounts[&account];
        let Nature::Quota { pool, .. } = page.terms.nature else { unreachable!("only a quota is reset") };
        let asset = page.terms.asset;
        let (debit, credit) = if difference > 0 { (pool, account) } else { (account, pool) };
        if difference == 0 {
            return Ok(None);
        }
        self.time_moves(debit, credit, difference.abs(), asset, More::default()).map(Some)
    }

    fn time_moves(
        &mut self,
        debit: Uuid,
        credit: Uuid,
        minor: i128,
        asset: ledger::AssetId,
        more: More,
    ) -> Result<Posted, Refusal> {
        let debit = self.give(debit, -minor, 0, Asked::Nothing)?;
        let credit = self.receive(credit, minor, true)?;
        let amount = Amount::new(small(minor), asset);
        Ok(Posted { leg: 0, kind: RowKind::Move, amount, debit, credit, more: said(more) })
    }

    fn write_due(&mut self, account: Uuid, mut transfers: Vec<Posted>) {
        (0..).zip(&mut transfers).for_each(|(leg, row)| row.leg = leg);
        let period_us = self.accounts[&account].period_us;
        self.record(account, self.now_us, Body::Due { account, period_us, transfers }, Vec::new());
    }
}
