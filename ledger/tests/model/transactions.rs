//! A transaction: what it opens, what it names, and its rows, all or none.

use std::collections::BTreeMap;
use std::rc::Rc;

use ledger::{
    Body, Claim, Companion, Dropped, Group, How, Invalid, LegRef, Nature, NewAccount, Posted, Refusal, Request,
    RowKind, Transfer,
};
use ring::digest::{SHA256, digest};
use uuid::Uuid;

use super::moves::Earning;
use super::{Model, No, Past, sound};

impl Model {
    pub(super) fn transact(
        &mut self,
        request: &Request,
        id: Uuid,
        open: &[NewAccount],
        transfers: &[Transfer],
        groups: &[Group],
        claim: Option<Claim>,
    ) -> Result<i64, No> {
        let missing = self.missing(open, transfers, groups)?;
        if let Some(seq) = claim.and_then(|claim| self.claims.get(&claim.0)) {
            return Err(Refusal::ClaimSpent { seq: *seq }.into());
        }
        let seq = self.seq + i64::try_from(missing.len()).unwrap() + 1;
        for terms in &missing {
            self.open(request, terms, seq);
        }
        let earned_us = request.effective_us.unwrap_or(self.now_us);
        let mut posted = self.post(transfers, seq, 0, earned_us)?;
        let mut dropped = Vec::new();
        let mut leg = transfers.len();
        for (index, group) in (0..).zip(groups) {
            match self.try_to_post(&group.transfers, seq, leg, earned_us)? {
                Ok(rows) => posted.extend(rows),
                Err(refusal) => {
                    dropped.push(Dropped { group: index, refusal });
                    let place = leg + group.transfers.len();
                    posted.extend(self.try_to_post(&group.fallback, seq, place, earned_us)?.unwrap_or_default());
                }
            }
            leg += group.transfers.len() + group.fallback.len();
        }
        if let Some(claim) = claim {
            self.claims.insert(claim.0, seq);
        }
        self.remember(seq, &posted);
        let companions = vouch(&request.companions);
        Ok(self.write(request, id, Body::Transaction { transfers: posted, dropped, claim, companions }))
    }

    /// All of them, or a refusal and nothing.
    fn try_to_post(
        &mut self,
        transfers: &[Transfer],
        seq: i64,
        first_leg: usize,
        earned_us: i64,
    ) -> Result<Result<Vec<Posted>, Refusal>, No> {
        let mut trial = self.clone();
        match trial.post(transfers, seq, first_leg, earned_us) {
            Ok(rows) => {
                *self = trial;
                Ok(Ok(rows))
            }
            Err(No::Refused(refusal)) => Ok(Err(refusal)),
            Err(No::Faulty(faults)) => Err(No::Faulty(faults)),
        }
    }

    /// Posts in order, the first row being of this leg. On a refusal the books are half changed: use a copy.
    fn post(&mut self, transfers: &[Transfer], seq: i64, first: usize, earned_us: i64) -> Result<Vec<Posted>, No> {
        let mut rows = Vec::new();
        for (leg, transfer) in (first..).zip(transfers) {
            let leg = i32::try_from(leg).unwrap();
            let row = self.row(LegRef { seq, leg }, transfer, earned_us)?;
            rows.extend(row.map(|row| Posted { leg, ..row }));
        }
        Ok(rows)
    }

    fn row(&mut self, at: LegRef, asked: &Transfer, earned_us: i64) -> Result<Option<Posted>, No> {
        let earning = Earning { terms: asked.lot, at_us: earned_us };
        Ok(match asked.how {
            How::Move => Some(self.move_all(asked, asked.amount.minor.into(), earning)?),
            How::UpTo => self.move_up_to(asked, earning)?,
            How::Owing => Some(self.move_owing(asked, earning)?),
            How::Hold { expires_us } => {
                if expires_us.is_some_and(|us| us <= self.now_us) {
                    return Err(Invalid::Dates { leg: at.leg }.into());
                }
                Some(self.hold(at, asked, expires_us)?)
            }
            How::Capture { hold } => Some(self.capture(asked, hold, earning)?),
            How::Void { hold } => Some(self.void(hold)?),
            How::Refund { of, owing } => self.refund(asked, of, owing, earning)?,
        })
    }

    /// Keeps what can be moved back later.
    fn remember(&mut self, seq: i64, posted: &[Posted]) {
        for row in posted {
            let refund = row.kind == RowKind::Move && row.of().is_some();
            if matches!(row.kind, RowKind::Move | RowKind::Capture) && !refund {
                let past = Past { row: Rc::new(row.clone()), recorded_us: self.now_us, refunded: 0 };
                self.rows.insert(LegRef { seq, leg: row.leg }, past);
            }
        }
    }

    /// The accounts a transaction has to open, or everything that is wrong with what it names.
    fn missing(&self, open: &[NewAccount], transfers: &[Transfer], groups: &[Group]) -> Result<Vec<NewAccount>, No> {
        let mut known = self.terms();
        let (mut missing, mut faults) = (Vec::new(), Vec::new());
        for new in open {
            let account = new.public_id;
            match known.get(&account) {
                Some(old) if identity(old) != identity(new) => faults.push(Invalid::AccountExists { account }),
                Some(_) => {}
                None => {
                    faults.extend(self.faults_of_opening(&known, new));
                    known.insert(account, new.clone());
                    missing.push(new.clone());
                }
            }
        }
        let grouped = groups.iter().flat_map(|group| group.transfers.iter().chain(&group.fallback));
        for (leg, transfer) in (0..).zip(transfers.iter().chain(grouped)) {
            for account in [transfer.debit, transfer.credit] {
                match known.get(&account) {
                    None => faults.push(Invalid::UnknownAccount { account }),
                    Some(terms) if terms.asset != transfer.amount.asset => {
                        faults.push(Invalid::AssetMismatch { account });
                    }
                    Some(_) => {}
                }
                // Its allowance begins with its first use, which is another transaction's.
                let quota =
                    |terms: &NewAccount| terms.public_id == account && matches!(terms.nature, Nature::Quota { .. });
                if missing.iter().any(quota) {
                    faults.push(Invalid::Nature { account });
                }
            }
            let keeps_lots = known.get(&transfer.credit).is_some_and(|to| matches!(to.nature, Nature::Lots { .. }));
            if transfer.lot.is_some() && !keeps_lots {
                faults.push(Invalid::Dates { leg });
            }
            faults.extend(self.fault_of_reference(transfer));
        }
        sound(faults)?;
        Ok(missing)
    }

    fn fault_of_reference(&self, transfer: &Transfer) -> Option<Invalid> {
        let accounts = (transfer.debit, transfer.credit);
        let (of, there) = match transfer.how {
            How::Move | How::UpTo | How::Owing | How::Hold { .. } => return None,
            How::Capture { hold } | How::Void { hold } => {
                (hold, self.holds.get(&hold).map(|hold| (hold.debit, hold.credit)))
            }
            How::Refund { of, .. } => {
                (of, self.rows.get(&of).map(|past| (past.row.credit.public_id, past.row.debit.public_id)))
            }
        };
        (there != Some(accounts)).then_some(Invalid::NotThatRow { of })
    }

    /// What is wrong with the terms of an account to open, among accounts that are known.
    pub(super) fn faults_of_opening(&self, known: &BTreeMap<Uuid, NewAccount>, new: &NewAccount) -> Vec<Invalid> {
        let mut faults = Vec::new();
        if !self.assets.contains_key(&new.asset) {
            faults.push(Invalid::UnknownAsset);
        }
        let other = counterpart(new.nature);
        let fits = |other: &NewAccount| other.asset == new.asset && other.nature == Nature::Plain;
        if other.is_some_and(|other| !known.get(&other).is_some_and(fits)) {
            faults.push(Invalid::Nature { account: new.public_id });
        }
        faults
    }
}

fn counterpart(nature: Nature) -> Option<Uuid> {
    match nature {
        Nature::Plain => None,
        Nature::Lots { breakage, .. } => Some(breakage),
        Nature::Quota { pool, .. } => Some(pool),
    }
}

/// What an account is, whatever its rules have become.
fn identity(terms: &NewAccount) -> impl PartialEq + use<> {
    (terms.asset, terms.owner, terms.normal_side, counterpart(terms.nature))
}

/// SHA-256 over kind (4 bytes), key (16), length (8) and body of each companion, one after another; none for none.
fn vouch(companions: &[Companion]) -> Option<[u8; 32]> {
    let mut bytes = Vec::new();
    for companion in companions {
        bytes.extend(companion.kind.to_be_bytes());
        bytes.extend(companion.key.as_bytes());
        bytes.extend(u64::try_from(companion.body.len()).unwrap().to_be_bytes());
        bytes.extend(&companion.body);
    }
    (!bytes.is_empty()).then(|| digest(&SHA256, &bytes).as_ref().try_into().unwrap())
}
