//! What is asked of an account or of the journal itself: opening, rules, clock.

use uuid::Uuid;

use super::draft::Draft;
use super::pass::{Decline, Pass};
use crate::{Account, AccountId, Asset, Body, Change, Invalid, Limits, Nature, NewAccount, Refusal, Request};

impl Pass<'_> {
    pub(super) fn open(&mut self, request: &Request, new: &NewAccount) -> Result<usize, Decline> {
        if self.account(new.public_id).is_some() {
            return Err(Invalid::AccountExists { account: new.public_id }.into());
        }
        let mut draft = Draft::default();
        self.draft_opening(&mut draft, new)?;
        for account in draft.accounts {
            self.applied.changed.insert(account.id, account);
        }
        Ok(self.record_opening(request, new, 0))
    }

    pub(super) fn record_opening(&mut self, request: &Request, account: &NewAccount, by: i64) -> usize {
        let asset = self.state.assets.get(&account.asset).cloned();
        let asset = asset.unwrap_or(Asset { id: account.asset, code: String::new(), scale: 0 });
        let body = Body::Opened { account: account.clone(), asset, by };
        let index = self.record(request, account.public_id, body);
        self.opened.insert(account.public_id, AccountId(self.applied.seq));
        index
    }

    pub(super) fn freeze(
        &mut self,
        request: &Request,
        account: Uuid,
        debits: bool,
        credits: bool,
    ) -> Result<usize, Decline> {
        let found = *self.account(account).ok_or(Invalid::UnknownAccount { account })?;
        let frozen = Account { debits_frozen: debits, credits_frozen: credits, ..found };
        self.applied.changed.insert(frozen.id, frozen);
        Ok(self.record(request, account, Body::Frozen { account, debits, credits }))
    }

    pub(super) fn change(&mut self, request: &Request, account: Uuid, change: Change) -> Result<usize, Decline> {
        let found = *self.account(account).ok_or(Invalid::UnknownAccount { account })?;
        let mut adjusting = None;
        let changed = match (change, found.nature) {
            (Change::Limits { floor, ceiling }, nature) => {
                if nature != Nature::Plain && floor != found.floor {
                    return Err(Invalid::Nature { account }.into());
                }
                let available = found.available()?;
                // A floor that stays as it is stands in the way of no other change, whatever is owed. Of a ceiling below the
                // balance nothing more comes in until the balance is below it too.
                if floor != found.floor && floor.is_some_and(|floor| available < floor) {
                    return Err(Refusal::Floor { account }.into());
                }
                Account { floor, ceiling, ..found }
            }
            (Change::Allowance { minor }, Nature::Quota { pool, allowance, period, calendar }) => {
                adjusting = self.draft_adjustment(&found, minor.saturating_sub(allowance))?;
                Account { nature: Nature::Quota { pool, allowance: minor, period, calendar }, ..found }
            }
            (Change::Allowance { .. }, Nature::Plain | Nature::Lots { .. }) => {
                return Err(Invalid::Nature { account }.into());
            }
            (Change::Closed { closed: true }, _) if (found.balance, found.held) != (0, 0) => {
                return Err(Refusal::NotEmpty { account }.into());
            }
            (Change::Closed { closed }, _) => Account { closed, ..found },
        };
        self.applied.changed.insert(changed.id, changed);
        let index = self.record(request, account, Body::Changed { account, change });
        if let Some(draft) = adjusting {
            self.keep_adjustment(&changed, draft);
        }
        Ok(index)
    }

    pub(super) fn move_clock(&mut self, request: &Request, by_us: i64) -> Result<usize, Decline> {
        let offset_us = self.applied.clock_offset_us.checked_add(by_us).filter(|_| self.state.sandbox);
        // The clock may reach the end of the year 9999 and no further, like every date.
        let ahead = |offset: &i64| offset.checked_sub(self.state.clock_offset_us)?.checked_add(self.now_us);
        let within = |offset: &i64| ahead(offset).is_some_and(|now| now <= Limits::LATEST_US);
        let offset_us = offset_us.filter(within).ok_or(Invalid::Clock)?;
        self.applied.clock_offset_us = offset_us;
        Ok(self.record(request, request.key.key, Body::ClockMoved { offset_us }))
    }
}
