//! Refunds: money back from the merchant to where it came from, and back from the customer what it had earned.
//!
//! Promise: the refunds of a payment add up to it and to no cent more; of each reward that was given, refunds take back
//! the share that belongs to what was refunded, rounded down, and with the last cent all of it. What the customer has
//! spent of it is owed, and repaid by what is earned next. A reward that cannot be taken back (a closed account) stands in
//! no refund's way: the next one takes it back.
//! Shares follow from the refunds before, so of two refunds of one payment at the same moment one is refused, and asks
//! again. Above a tenant's amount, counted over all refunds of a payment, another pair of eyes decides first
//! ([`four_eyes`]); what it approves is refunded under the request's id. What is counted is read once, and names the turn that is
//! asked for: of many small parts at the same moment no two pass together.
//! Not here: waiting for the other pair ([`eyes`]); money that goes back over a rail, which follows the settlement account.

mod eyes;

use diesel::{PgConnection, QueryResult};
use ledger::read::LinkAt;
use ledger::{
    Amount, Answer, Body, Claim, Command, Group, How, JournalError, Key, LegRef, Posted, Refusal, RowKind, Tender,
    Transfer, mix, share,
};
use uuid::Uuid;

use self::eyes::{request_for, same_request};
use super::paper::{self, Outcome, RefundPaper, Sheet as _, TakenBack};
use super::reading::{self, Authorised, Cleared, Refundable};
use super::{Done, Payments};
use crate::identity::four_eyes::{self, Proposal};
use crate::levels;
use crate::platform::books::{Paper, journal_of, only_if_done};
use crate::platform::chart::Purpose;
use crate::platform::ids::derived;
use crate::platform::keyring::{Caller, Tenant};
use crate::platform::problem::Problem;

/// What to refund of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RefundWish {
    /// Cents, positive; none is all that has not been refunded.
    pub amount_minor: Option<i64>,
    /// What the merchant lacks, it owes; else such a refund is refused.
    pub owing: bool,
    /// How many hooks led to it, one after the other.
    pub hook_depth: i16,
}

/// What came of asking for a refund.
pub(super) enum Refunded {
    /// The journal has decided.
    Done(Done<RefundPaper>),
    /// Another pair of eyes decides, or decided against it, or it is not done yet what they approved.
    Waits(Box<Proposal>),
}

/// From where on somebody else decides, and what is known of who asks.
struct Alone<'a> {
    by: &'a Caller,
    /// What stands for the request under which it would wait.
    request: Uuid,
    /// All that may be refunded of the payment alone, in cents.
    most: i64,
}

/// A refund to be asked for.
struct Plan {
    minor: i64,
    transfers: Vec<Transfer>,
    groups: Vec<Group>,
    rewards: Vec<TakenBack>,
    /// It is the first, the second … refund of this payment.
    turn: Claim,
}

impl Payments {
    /// Refunds some of a payment or a capture, has it wait for another pair of eyes, or tells what became of it under this key. An
    /// authorisation that was captured once stands for its capture. One that the books would refuse does not wait.
    ///
    /// # Errors
    /// 404 for an unknown payment; 409 `nothing-captured` and `several-captures` for an authorisation; 422 `key-reused`; the
    /// journal's problems. A refusal is an answer.
    pub(super) async fn refund_by(
        &self,
        by: &Caller,
        key: Key,
        payment: Uuid,
        wish: RefundWish,
    ) -> Result<Refunded, Problem> {
        let (tenant, db, request) = (by.tenant.id, &self.platform.db, request_for(by.tenant.id, key));
        let find = move |conn: &mut PgConnection| -> QueryResult<_> {
            Ok((four_eyes::find(conn, tenant, request)?, four_eyes::refunds_above(conn, tenant)?))
        };
        let most = match db.of(tenant).read(find).await? {
            // What waited once under this key is never done without. Of what was withdrawn, the journal has the key.
            (Some(asked), _) if asked.withdrawn_at.is_none() => {
                return self.what_came_of(&by.tenant, same_request(asked, key)?).await;
            }
            (_, most) => most,
        };
        let alone = most.map(|most| Alone { by, request, most });
        self.refund(&by.tenant, key, payment, wish, alone).await
    }

    /// The same of who asks alone up to an amount, or of who was approved.
    #[tracing::instrument(name = "payments.refund", skip_all, fields(tenant = tenant.id))]
    async fn refund(
        &self,
        tenant: &Tenant,
        key: Key,
        payment: Uuid,
        wish: RefundWish,
        alone: Option<Alone<'_>>,
    ) -> Result<Refunded, Problem> {
        let paid = match reading::refundable(&self.platform, journal_of(tenant), payment).await? {
            Refundable::This(paid) => paid,
            Refundable::Unclear(of, captures) => {
                return self.refunded_before(tenant, key, &of, &captures).await.map(Refunded::Done);
            }
        };
        // What is judged and what is asked for are one reading, whose turn the journal gives once.
        if let Some(alone) = alone
            && let Some(amount_minor) = paid.too_much(tenant.id, wish, alone.most)
            && self.answered(tenant, key).await?.is_none()
        {
            let wish = RefundWish { amount_minor: Some(amount_minor), ..wish };
            if let Some(waits) = self.ask_eyes(&alone, key, payment, wish).await? {
                return Ok(Refunded::Waits(Box::new(waits)));
            }
        }
        let customer = paid.paper.customer;
        let secret = self.customers.secret(&self.platform, tenant.id, customer).await?;
        let Plan { minor, transfers, groups, rewards, turn } = plan(tenant.id, &paid, wish);
        let id = self.platform.ids.uuid_v7(self.platform.clock.now());
        let written = RefundPaper::of(id, &paid.paper, minor, rewards);
        let companion = written.companion(id);
        let commitment = Some(secret.commit(id, &companion.body));
        let meta = paper::meta("refund", customer, Some(paid.paper.merchant), commitment);
        let meta = paper::caused(meta, wish.hook_depth);
        let command = Command::Transact { id, open: Vec::new(), transfers, groups, claim: Some(turn) };
        let paper = Paper { effective_us: None, meta, companions: vec![companion] };
        let answer = self.ask(tenant, (customer, "refund"), key, command, paper).await?;
        overtaken(&answer)?;
        self.done(tenant, answer, id, written).await.map(Refunded::Done)
    }

    /// It was clear once what to refund, if this key did it then: that is the answer for ever.
    async fn refunded_before(
        &self,
        tenant: &Tenant,
        key: Key,
        of: &Authorised,
        captures: &[Uuid],
    ) -> Result<Done<RefundPaper>, Problem> {
        let config = self.programmes.config(&self.platform, tenant.id).await?;
        // Whatever is asked: it is not tried.
        let untried = of.voiding(tenant.id, Uuid::nil(), Amount::new(0, config.eur));
        match only_if_done(&self.journal, tenant, key, untried, Paper::default()).await {
            Err(JournalError::DeadlinePassed) => Err(unclear(captures)),
            answer => {
                let answer = answer?;
                overtaken(&answer)?;
                self.recalled(tenant, answer).await
            }
        }
    }
}

fn unclear(captures: &[Uuid]) -> Problem {
    if captures.is_empty() {
        let detail = "Nothing of it was captured: void it, and what is set aside is free again.";
        return Problem::new(409, "nothing-captured", "There is nothing to refund", detail);
    }
    let detail = "Name the capture to refund by its own id: captures has them.";
    let captures: Vec<String> = captures.iter().map(Uuid::to_string).collect();
    Problem::new(409, "several-captures", "It was captured several times", detail).with("captures", captures)
}

/// Refused because another refund of this payment came first.
fn overtaken(answer: &Answer) -> Result<(), Problem> {
    let Body::Refused { refusal: Refusal::ClaimSpent { seq } } = answer.record.body else { return Ok(()) };
    let detail = "Look at what is left to refund, and ask again with a new Idempotency-Key.";
    let problem = Problem::new(409, "refund-overtaken", "Another refund of this payment came first", detail);
    Err(problem.with("done_at_seq", seq).with("seq", answer.record.seq))
}

/// What a refund moves: of each tender its part, and of each reward that was given its share, each as a group.
fn plan(tenant: i64, paid: &Cleared, wish: RefundWish) -> Plan {
    let tenders = paid.tenders(tenant);
    let standing = paid.standing(&tenders);
    let left = paid.left(&tenders);
    // With nothing left it asks for a cent, which the journal refuses for good.
    let minor = wish.amount_minor.unwrap_or(left.max(1));
    // So it does with more than is left.
    let parts = mix(&standing, minor).unwrap_or_else(|| vec![minor]);
    let parts = tenders.iter().zip(parts).filter(|(_, part)| *part > 0);
    let transfers = parts.map(|(row, part)| back(paid.record.seq, row, part, wish.owing)).collect();
    let refunded = paid.paper.amount_minor.saturating_sub(left).saturating_add(minor);
    let (mut groups, rewards) = taking_back(paid, refunded);
    groups.extend(counting_back(tenant, paid, minor));
    let turn = paid.refunds();
    let turn = derived("refund", &[&tenant.to_be_bytes(), &paid.record.seq.to_be_bytes(), &turn.to_be_bytes()]);
    Plan { minor, transfers, groups, rewards, turn: Claim(turn) }
}

/// Of each reward that was given, its share of `refunded` less what was taken back before.
fn taking_back(paid: &Cleared, refunded: i64) -> (Vec<Group>, Vec<TakenBack>) {
    let rows = paid.record.body.transfers();
    let given = paid.paper.outcomes(paid.record.body.dropped()).filter_map(|(reward, outcome)| match outcome {
        Outcome::Given { leg } => Some((reward, rows.iter().find(|row| row.leg == leg)?)),
        Outcome::TooSmall | Outcome::BudgetExhausted | Outcome::Paused | Outcome::NotPossible => None,
    });
    given
        .filter_map(|(reward, row)| {
            let share = share(row.amount.minor, refunded, paid.paper.amount_minor);
            let minor = share.saturating_sub(paid.back(row.leg));
            let taken = TakenBack { kind: reward.kind, campaign: reward.campaign, minor, asset: reward.asset.clone() };
            (minor > 0).then(|| (Group::of(vec![back(paid.record.seq, row, minor, true)]), taken))
        })
        .unzip()
}

/// What was counted of the payment counts no more, as far as its day and month are not over. Stands in no refund's way.
fn counting_back(tenant: i64, paid: &Cleared, minor: i64) -> Option<Group> {
    let rows = levels::counted_rows(tenant, paid.paper.customer, paid.record.body.transfers());
    let rows = rows.filter(|row| matches!(row.kind, RowKind::Move | RowKind::Capture));
    let transfers: Vec<Transfer> = rows.map(|row| back(paid.record.seq, row, minor, false)).collect();
    (!transfers.is_empty()).then(|| Group::of(transfers))
}

/// Moves so much of a row back where it came from.
fn back(seq: i64, row: &Posted, minor: i64, owing: bool) -> Transfer {
    let how = How::Refund { of: LegRef { seq, leg: row.leg }, owing };
    Transfer::by(how, row.credit.public_id, row.debit.public_id, Amount { minor, ..row.amount })
}

impl Cleared {
    /// The rows that paid the merchant.
    fn tenders(&self, tenant: i64) -> Vec<&Posted> {
        let payee = Purpose::Payable(self.paper.merchant).account(tenant);
        // What a final capture gave back names the payee and moved nothing there.
        let moved = |row: &&Posted| matches!(row.kind, RowKind::Move | RowKind::Capture);
        let rows = self.record.body.transfers().iter();
        rows.filter(moved).filter(|row| row.credit.public_id == payee).collect()
    }

    fn standing(&self, tenders: &[&Posted]) -> Vec<Tender> {
        tenders.iter().map(|row| Tender { whole: row.amount.minor, back: self.back(row.leg) }).collect()
    }

    /// What can be refunded yet.
    fn left(&self, tenders: &[&Posted]) -> i64 {
        self.standing(tenders).iter().fold(0_i64, |sum, one| sum.saturating_add(one.left()))
    }

    /// How much a refund is, if with it more would be refunded than `most` and it is one that the books may do.
    fn too_much(&self, tenant: i64, wish: RefundWish, most: i64) -> Option<i64> {
        let left = self.left(&self.tenders(tenant));
        let amount_minor = wish.amount_minor.unwrap_or(left);
        let in_all = self.paper.amount_minor.saturating_sub(left).saturating_add(amount_minor);
        ((1..=left).contains(&amount_minor) && in_all > most).then_some(amount_minor)
    }

    /// What of a row has been moved back.
    pub(super) fn back(&self, leg: i32) -> i64 {
        let of_it = self.moved_back().filter(|link| link.of.leg == leg);
        of_it.fold(0, |sum, link| sum.saturating_add(link.minor))
    }

    /// How many refunds there were.
    fn refunds(&self) -> i64 {
        let mut seqs: Vec<i64> = self.moved_back().map(|link| link.by.seq).collect();
        seqs.dedup();
        i64::try_from(seqs.len()).unwrap_or(i64::MAX)
    }

    fn moved_back(&self) -> impl Iterator<Item = &LinkAt> {
        self.links.iter().filter(|link| link.of.seq == self.record.seq && link.kind == RowKind::Move)
    }
}
