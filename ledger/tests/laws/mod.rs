//! The laws, each by itself, over random stories: what must hold whatever `apply` and the model agree on.

use std::collections::{BTreeMap, BTreeSet};

use ledger::apply::{Applied, State};
use ledger::{Account, AccountId, Body, Claim, Command, Posted, Record, Refusal, Request, Side};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use uuid::Uuid;

use crate::play::{Desk, Step, accounts, answered, play, rows, stories, sums, well_formed};
use crate::requests::any_story;

proptest! {
    #![proptest_config(stories(96))]

    /// What leaves one account reaches the other, of the same asset: debits equal credits in every transaction.
    #[test]
    fn i1_debits_equal_credits((state, story) in any_story()) {
        for Step { before, applied, after, .. } in play(state, &story) {
            let mut balances: BTreeMap<AccountId, i64> = before.accounts.values().map(|a| (a.id, a.balance)).collect();
            for posted in applied.records.iter().flat_map(rows) {
                prop_assert!(posted.amount.minor > 0);
                prop_assert_ne!(posted.debit.account, posted.credit.account);
                let mut change = |side: &Side| side.balance - balances.insert(side.account, side.balance).unwrap_or(0);
                prop_assert_eq!(change(&posted.debit), -posted.amount.minor);
                prop_assert_eq!(change(&posted.credit), posted.amount.minor);
                for side in [posted.debit, posted.credit] {
                    prop_assert_eq!(after.accounts[&side.account].asset, posted.amount.asset);
                    prop_assert_eq!(after.accounts[&side.account].public_id, side.public_id);
                }
            }
        }
    }

    /// Per asset, all balances add up to what they added up to before.
    #[test]
    fn i2_conservation((state, story) in any_story()) {
        for Step { before, after, .. } in play(state, &story) {
            let was = sums(&before);
            for (asset, sum) in sums(&after) {
                prop_assert_eq!(sum, was.get(&asset).copied().unwrap_or(0));
            }
        }
    }

    /// The records alone give the books: who replays them from the state before ends at the state after (I3, I12).
    #[test]
    fn i3_the_books_are_the_fold_of_their_records((state, story) in any_story()) {
        for Step { before, applied, after, .. } in play(state, &story) {
            let mut folded = accounts(&before);
            applied.records.iter().for_each(|record| fold(&mut folded, record));
            prop_assert_eq!(folded, accounts(&after));
        }
    }

    /// Seqs go up by one from record to record, versions by one from row to row of an account, legs rise from zero.
    #[test]
    fn i4_seqs_and_versions_are_dense((state, story) in any_story()) {
        let mut seq = state.seq;
        let mut versions: BTreeMap<AccountId, i64> = state.accounts.values().map(|a| (a.id, a.version)).collect();
        for Step { applied, after, .. } in play(state, &story) {
            for record in &applied.records {
                seq += 1;
                prop_assert_eq!(record.seq, seq);
                let legs: Vec<i32> = rows(record).iter().map(|posted| posted.leg).collect();
                prop_assert!(legs.is_sorted_by(|one, next| one < next));
                prop_assert!(legs.first().is_none_or(|first| *first == 0));
                for side in rows(record).iter().flat_map(|posted| [posted.debit, posted.credit]) {
                    let version = versions.entry(side.account).or_default();
                    *version += 1;
                    prop_assert_eq!(side.version, *version);
                }
            }
            prop_assert_eq!((applied.seq, after.seq), (seq, seq));
        }
    }

    /// No row takes an account below its floor, above its ceiling, or through a freeze in force at that row.
    #[test]
    fn i5_no_floor_is_ever_passed((state, story) in any_story()) {
        for Step { before, applied, .. } in play(state, &story) {
            let mut rules = accounts(&before);
            for record in &applied.records {
                for Posted { debit, credit, .. } in rows(record) {
                    let (payer, payee) = (&rules[&debit.public_id], &rules[&credit.public_id]);
                    let available = i128::from(debit.balance) - i128::from(debit.held);
                    prop_assert!(payer.floor.is_none_or(|floor| available >= floor.into()));
                    prop_assert!(payee.ceiling.is_none_or(|ceiling| credit.balance <= ceiling));
                    prop_assert!(!payer.debits_frozen && !payee.credits_frozen);
                }
                fold(&mut rules, record);
            }
        }
    }

    /// The batch without what was refused or was no request leaves the same balances, rules and claims.
    #[test]
    fn i11_a_refusal_changes_nothing((state, story) in any_story()) {
        let (mut all, mut good_only) = (Desk::new(state.clone()), Desk::new(state));
        for asked in story {
            let requests = well_formed(&asked.requests);
            let applied = all.commit(&requests, asked.now_us);
            let kept = requests.into_iter().zip(&applied.answers).filter(|(_, answer)| happened(&applied, answer));
            let kept: Vec<Request> = kept.map(|(request, _)| request).collect();
            let again = good_only.commit(&kept, asked.now_us);
            prop_assert!(again.answers.iter().all(|answer| happened(&again, answer)));
            prop_assert_eq!(unnumbered(&all.state), unnumbered(&good_only.state));
            let claims = |desk: &Desk| desk.claims.keys().copied().collect::<BTreeSet<_>>();
            prop_assert_eq!(claims(&all), claims(&good_only));
        }
    }

    /// A request that is none leaves no record, and one that is refused leaves exactly its refusal.
    #[test]
    fn i13_one_record_answers_one_request((state, story) in any_story()) {
        for Step { requests, applied, .. } in play(state, &story) {
            prop_assert_eq!(applied.answers.len(), requests.len());
            let answers: Vec<i64> = answered(&applied).into_iter().flatten().collect();
            prop_assert!(answers.is_sorted_by(|one, next| one < next), "two requests share a record");
            for record in &applied.records {
                let opened_for = match &record.body {
                    Body::Opened { by, .. } if *by != 0 => *by,
                    Body::Opened { .. } | Body::Transaction { .. } | Body::Frozen { .. } | Body::Refused { .. }
                    | Body::ClockMoved { .. } | Body::Abandoned => record.seq,
                };
                prop_assert!(opened_for >= record.seq && answers.contains(&opened_for), "{record:?} answers nobody");
            }
        }
    }

    /// A group is in the books whole or not at all, and each that is missing has its reason on record.
    #[test]
    fn a_group_is_kept_whole_or_dropped_whole((state, story) in any_story()) {
        for Step { requests, applied, .. } in play(state, &story) {
            for (request, answer) in requests.iter().zip(&applied.answers) {
                let Command::Transact { transfers, groups, .. } = &request.command else { continue };
                let Ok(Record { body: Body::Transaction { transfers: posted, dropped, .. }, .. }) =
                    answer.as_ref().map(|index| &applied.records[*index]) else { continue };
                let mut wanted: Vec<_> = (0_i32..).zip(transfers.iter().copied()).collect();
                let mut leg = i32::try_from(transfers.len()).unwrap();
                for (index, group) in (0_i32..).zip(groups) {
                    if dropped.iter().all(|drop| drop.group != index) {
                        wanted.extend((leg..).zip(group.transfers.iter().copied()));
                    }
                    leg += i32::try_from(group.transfers.len()).unwrap();
                }
                let found = posted.iter().map(|row| (row.leg, row.debit.public_id, row.credit.public_id, row.amount));
                prop_assert!(found.eq(wanted.into_iter().map(|(leg, t)| (leg, t.debit, t.credit, t.amount))));
            }
        }
    }

    /// A claim is used up by one transaction at most; who comes after is told which.
    #[test]
    fn a_claim_is_used_up_once((state, story) in any_story()) {
        let mut used: BTreeMap<Claim, i64> = BTreeMap::new();
        for Step { requests, applied, .. } in play(state, &story) {
            for (request, answer) in requests.iter().zip(&applied.answers) {
                let Command::Transact { claim: Some(claim), .. } = &request.command else { continue };
                let Ok(record) = answer.as_ref().map(|index| &applied.records[*index]) else { continue };
                match &record.body {
                    Body::Transaction { claim: recorded, .. } => {
                        prop_assert_eq!(recorded, &Some(*claim));
                        prop_assert_eq!(used.insert(*claim, record.seq), None);
                    }
                    Body::Refused { refusal: Refusal::ClaimSpent { seq } } => {
                        prop_assert_eq!(used.get(claim), Some(seq));
                    }
                    Body::Refused { .. } => prop_assert!(!used.contains_key(claim)),
                    Body::Opened { .. } | Body::Frozen { .. } | Body::ClockMoved { .. } | Body::Abandoned => prop_assert!(false),
                }
            }
        }
    }

    /// One time per batch, never before the last, and what counts at no other time counts then.
    #[test]
    fn time_never_goes_back((state, story) in any_story()) {
        let mut last_us = state.last_us;
        for Step { requests, applied, .. } in play(state, &story) {
            let Some(first) = applied.records.first() else { continue };
            prop_assert!(first.recorded_us >= last_us);
            last_us = first.recorded_us;
            prop_assert!(applied.records.iter().all(|record| record.recorded_us == last_us));
            for (request, answer) in requests.iter().zip(&applied.answers) {
                let Ok(index) = answer else { continue };
                prop_assert_eq!(applied.records[*index].effective_us, request.effective_us.unwrap_or(last_us));
            }
        }
    }

    /// A batch that was decided and could not be committed is as if it had never been.
    #[test]
    fn an_unpublished_batch_leaves_no_trace((state, story) in any_story()) {
        let (mut steady, mut shaky) = (Desk::new(state.clone()), Desk::new(state));
        for (place, asked) in story.iter().enumerate() {
            // What is lost is another batch than the one that follows.
            let lost = &story[(place + 1) % story.len()];
            shaky.decide(&well_formed(&lost.requests), lost.now_us + 1_000);
            let requests = well_formed(&asked.requests);
            same(&shaky.commit(&requests, asked.now_us), &steady.commit(&requests, asked.now_us))?;
        }
        prop_assert_eq!(accounts(&shaky.state), accounts(&steady.state));
    }

    /// The same requests in one batch or in several lead to the same records, but for the time they carry.
    #[test]
    fn splitting_a_batch_changes_nothing((state, story) in any_story(), size in 1..5_usize) {
        let (mut whole, mut split) = (Desk::new(state.clone()), Desk::new(state));
        for asked in story {
            let requests = well_formed(&asked.requests);
            let at_once = whole.commit(&requests, asked.now_us);
            let mut records = Vec::new();
            let mut answers = Vec::new();
            for part in requests.chunks(size) {
                let applied = split.commit(part, asked.now_us);
                answers.extend(applied.answers.iter().map(|answer| answer.as_ref().err().cloned()));
                records.extend(applied.records);
            }
            let timeless = |records: &[Record]| records.iter().map(without_time).collect::<Vec<_>>();
            prop_assert_eq!(timeless(&at_once.records), timeless(&records));
            prop_assert_eq!(at_once.answers.into_iter().map(Result::err).collect::<Vec<_>>(), answers);
            prop_assert_eq!(accounts(&whole.state), accounts(&split.state));
            prop_assert_eq!(&whole.claims, &split.claims);
        }
    }

    /// The same state and batch give the same records and balances, each time.
    #[test]
    fn apply_is_deterministic((state, story) in any_story()) {
        let mut desk = Desk::new(state);
        for asked in story {
            let requests = well_formed(&asked.requests);
            let once = desk.decide(&requests, asked.now_us);
            // A copy of the maps hashes anew: their order must not show.
            same(&once, &desk.clone().decide(&requests, asked.now_us))?;
            desk.commit(&requests, asked.now_us);
        }
    }
}

/// What a record says of the accounts, taken at its word.
fn fold(accounts: &mut BTreeMap<Uuid, Account>, record: &Record) {
    match &record.body {
        Body::Transaction { transfers, .. } => {
            for side in transfers.iter().flat_map(|posted| [posted.debit, posted.credit]) {
                let account = accounts.get_mut(&side.public_id).unwrap();
                (account.balance, account.held, account.version) = (side.balance, side.held, side.version);
            }
        }
        Body::Opened { account: new, .. } => {
            let account = Account {
                id: AccountId(record.seq),
                public_id: new.public_id,
                asset: new.asset,
                normal_side: new.normal_side,
                owner: new.owner,
                floor: new.floor,
                ceiling: new.ceiling,
                debits_frozen: false,
                credits_frozen: false,
                balance: 0,
                held: 0,
                version: 0,
            };
            assert_eq!(accounts.insert(new.public_id, account), None);
        }
        Body::Frozen { account, debits, credits } => {
            let account = accounts.get_mut(account).unwrap();
            (account.debits_frozen, account.credits_frozen) = (*debits, *credits);
        }
        Body::Refused { .. } | Body::ClockMoved { .. } | Body::Abandoned => {}
    }
}

/// True when the request did what it asked.
fn happened(applied: &Applied, answer: &Result<usize, ledger::Invalid>) -> bool {
    answer.as_ref().is_ok_and(|index| !matches!(applied.records[*index].body, Body::Refused { .. }))
}

/// Accounts without their numbers, which are seqs and move when a record before them is left out.
fn unnumbered(state: &State) -> BTreeMap<Uuid, Account> {
    let anonymous = |(public_id, account)| (public_id, Account { id: AccountId(0), ..account });
    accounts(state).into_iter().map(anonymous).collect()
}

fn without_time(record: &Record) -> Record {
    let by_default = record.effective_us == record.recorded_us;
    let effective_us = if by_default { 0 } else { record.effective_us };
    Record { recorded_us: 0, effective_us, ..record.clone() }
}

fn same(one: &Applied, other: &Applied) -> Result<(), TestCaseError> {
    prop_assert_eq!(&one.records, &other.records);
    prop_assert_eq!(&one.answers, &other.answers);
    prop_assert_eq!(&one.claims, &other.claims);
    prop_assert_eq!(one.changed.iter().collect::<BTreeMap<_, _>>(), other.changed.iter().collect());
    prop_assert_eq!((one.seq, one.last_us, one.clock_offset_us), (other.seq, other.last_us, other.clock_offset_us));
    Ok(())
}
