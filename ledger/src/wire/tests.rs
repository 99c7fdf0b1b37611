use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::Answers;
use crate::record::tests::{any_change, any_nature, any_record};

fn any_uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn any_range() -> impl Strategy<Value = Archived> {
    let numbers = (any::<i64>(), any::<i64>(), any::<i64>());
    numbers.prop_map(|(journal, first_seq, last_seq)| Archived { journal: JournalId(journal), first_seq, last_seq })
}

fn any_transfer() -> impl Strategy<Value = Transfer> {
    let amount = (any::<i64>(), any::<i32>()).prop_map(|(minor, asset)| Amount::new(minor, AssetId(asset)));
    let date = || option::of(any::<i64>());
    let lot = (date(), date(), any_uuid(), any::<i64>()).prop_map(|(activates_us, expires_us, campaign, unit_cost)| {
        LotTerms { activates_us, expires_us, campaign, unit_cost }
    });
    let rate = (any::<i32>(), any::<i64>(), any::<i64>()).prop_map(|(of, numerator, denominator)| Rate {
        of,
        numerator,
        denominator,
    });
    (any_uuid(), any_uuid(), amount, any_how(), option::of(lot), option::of(rate))
        .prop_map(|(debit, credit, amount, how, lot, rate)| Transfer { debit, credit, amount, how, lot, rate })
        .boxed()
}

fn any_leg_ref() -> impl Strategy<Value = LegRef> {
    (any::<i64>(), any::<i32>()).prop_map(|(seq, leg)| LegRef { seq, leg })
}

fn any_how() -> impl Strategy<Value = How> {
    prop_oneof![
        select(vec![How::Move, How::UpTo, How::Owing]),
        option::of(any::<i64>()).prop_map(|expires_us| How::Hold { expires_us }),
        any_leg_ref().prop_map(|hold| How::Capture { hold }),
        any_leg_ref().prop_map(|hold| How::Void { hold }),
        (any_leg_ref(), any::<bool>()).prop_map(|(of, owing)| How::Refund { of, owing }),
    ]
}

fn any_account() -> impl Strategy<Value = NewAccount> {
    let side = select(vec![NormalSide::Debit, NormalSide::Credit]);
    let limits = (option::of(any::<i64>()), option::of(any::<i64>()));
    (any_uuid(), any::<i32>(), side, option::of(any_uuid()), (limits, any_nature())).prop_map(
        |(public_id, asset, normal_side, owner, ((floor, ceiling), nature))| NewAccount {
            public_id,
            asset: AssetId(asset),
            normal_side,
            owner,
            floor,
            ceiling,
            nature,
        },
    )
}

fn any_command() -> impl Strategy<Value = Command> {
    let group = (vec(any_transfer(), 0..3), vec(any_transfer(), 0..2));
    let groups = vec(group.prop_map(|(transfers, fallback)| Group { transfers, fallback }), 0..3);
    let claim = option::of(any_uuid().prop_map(Claim));
    prop_oneof![
        (any_uuid(), vec(any_account(), 0..3), vec(any_transfer(), 0..3), groups, claim)
            .prop_map(|(id, open, transfers, groups, claim)| Command::Transact { id, open, transfers, groups, claim }),
        any_account().prop_map(Command::Open),
        (any_uuid(), any::<bool>(), any::<bool>()).prop_map(|(account, debits, credits)| Command::Freeze {
            account,
            debits,
            credits
        }),
        any::<i64>().prop_map(|by_us| Command::MoveClock { by_us }),
        Just(Command::Abandon),
        (any_uuid(), any_change()).prop_map(|(account, change)| Command::Change { account, change }),
        any_uuid().prop_map(|account| Command::Sweep { account }),
    ]
    .boxed()
}

fn any_request() -> impl Strategy<Value = Request> {
    let key = (any::<i64>(), any_uuid(), any_uuid()).prop_map(|(scope, key, fingerprint)| Key {
        scope: Scope(scope),
        key,
        fingerprint,
    });
    let companion =
        (any::<i32>(), any_uuid(), vec(any::<u8>(), 0..9)).prop_map(|(kind, key, body)| Companion { kind, key, body });
    let rest = (option::of(any::<i64>()), vec(any::<u8>(), 0..9), vec(companion, 0..3));
    (any::<i64>(), key, any_command(), rest).prop_map(|(journal, key, command, (effective_us, meta, companions))| {
        Request { journal: JournalId(journal), key, command, effective_us, meta, companions }
    })
}

fn any_invalid() -> impl Strategy<Value = Invalid> {
    prop_oneof![
        select(vec![Invalid::Empty, Invalid::UnknownAsset, Invalid::EffectiveDate, Invalid::Clock]),
        (0..9_usize).prop_map(|limit| Invalid::TooMany { what: "parts", limit }),
        any::<i64>().prop_map(|minor| Invalid::Amount { minor }),
        any_uuid().prop_map(|account| Invalid::SameAccount { account }),
        any_uuid().prop_map(|account| Invalid::UnknownAccount { account }),
        any_uuid().prop_map(|account| Invalid::AssetMismatch { account }),
        any_uuid().prop_map(|account| Invalid::Limits { account }),
        any_uuid().prop_map(|account| Invalid::AccountExists { account }),
        any_uuid().prop_map(|key| Invalid::Companion { key }),
        any_leg_ref().prop_map(|of| Invalid::NotThatRow { of }),
        any::<i32>().prop_map(|leg| Invalid::Dates { leg }),
        any::<i32>().prop_map(|leg| Invalid::Rate { leg }),
        any_uuid().prop_map(|account| Invalid::Nature { account }),
        any_uuid().prop_map(|account| Invalid::TooManyLots { account }),
        any_uuid().prop_map(|account| Invalid::NothingDue { account }),
        any_uuid().prop_map(|account| Invalid::StillDue { account }),
        any_range().prop_map(Invalid::Archived),
    ]
}

fn any_answer() -> impl Strategy<Value = Result<Answer, JournalError>> {
    let plain = vec![
        JournalError::KeyReused,
        JournalError::QueueFull,
        JournalError::NotLeader { leader: None },
        JournalError::DeadlinePassed,
        JournalError::OutcomeUnknown,
        JournalError::Unavailable,
        JournalError::NoSuchJournal,
        JournalError::NoRoom,
    ];
    prop_oneof![
        3 => (any_record(), any::<bool>()).prop_map(|(record, replayed)| Ok(Answer { record: Arc::new(record), replayed })),
        1 => select(plain).prop_map(Err),
        1 => any_invalid().prop_map(|invalid| Err(invalid.into())),
        1 => any::<String>().prop_map(|why| Err(JournalError::Broken(why))),
        1 => any::<i64>().prop_map(|seq| Err(JournalError::Abandoned { seq })),
        1 => any_range().prop_map(|range| Err(JournalError::Archived(range))),
    ]
}

/// An answer that can be compared.
type Plain = Option<Result<(Record, bool), JournalError>>;

fn plain(answer: Option<Result<Answer, JournalError>>) -> Plain {
    answer.map(|answer| answer.map(|answer| (answer.record.as_ref().clone(), answer.replayed)))
}

fn all_plain(answers: Option<Answers>) -> Option<Vec<Plain>> {
    answers.map(|answers| answers.into_iter().map(|answer| plain(Some(answer))).collect())
}

type Reads = fn(&[u8]) -> bool;

proptest! {
    #[test]
    fn a_request_arrives_as_it_was_sent(request in any_request()) {
        prop_assert_eq!(Request::from_bytes(&request.to_bytes()), Some(request));
    }

    #[test]
    fn an_answer_comes_back_as_it_was_given(answer in any_answer()) {
        prop_assert_eq!(plain(answer_from_bytes(&answer_to_bytes(&answer))), plain(Some(answer)));
    }

    /// One or several, in their order: what is linked arrives whole, and what comes back is as many answers as were asked.
    #[test]
    fn what_goes_in_one_piece_arrives_in_one_piece(
        requests in vec(any_request().prop_map(Arc::new), 1..4),
        answers in vec(any_answer(), 1..4),
        more in 1..3_usize,
    ) {
        for bond in [Bond::Linked, Bond::InOrder] {
            let bond_back = if requests.len() == 1 { Bond::InOrder } else { bond };
            prop_assert_eq!(requests_from_bytes(&requests_to_bytes(&requests, bond)), Some((requests.clone(), bond_back)));
        }
        let bytes = answers_to_bytes(&answers);
        let count = answers.len();
        let is_not_leader = matches!(answers.as_slice(), [Err(JournalError::NotLeader { .. })]);
        prop_assert_eq!(all_plain(answers_from_bytes(&bytes, count)), all_plain(Some(answers)));
        prop_assert_eq!(answers_from_bytes(&bytes, count + more).is_some(), is_not_leader);
    }

    /// A release that does not know the form of several answers as to any it does not know: nothing was tried, of none.
    #[test]
    fn one_not_leader_stands_for_all(asked in 1..5_usize) {
        let error = || Err(JournalError::NotLeader { leader: None });
        let all = answers_from_bytes(&answer_to_bytes(&error()), asked);
        prop_assert_eq!(all_plain(all), all_plain(Some((0..asked).map(|_| error()).collect())));
        prop_assert!(answers_from_bytes(&answer_to_bytes(&Err(JournalError::QueueFull)), asked + 1).is_none());
    }

    /// Cut short, followed by something, or of another version: nothing is read, and nothing panics.
    #[test]
    fn bytes_of_another_form_do_not_read(request in any_request(), answer in any_answer(), after in any::<u8>()) {
        let two = [Arc::new(request.clone()), Arc::new(request.clone())];
        let forms: [(Vec<u8>, Reads); 5] = [
            (request.to_bytes(), |bytes| Request::from_bytes(bytes).is_some()),
            (answer_to_bytes(&answer), |bytes| answer_from_bytes(bytes).is_some()),
            (requests_to_bytes(&two, Bond::Linked), |bytes| requests_from_bytes(bytes).is_some()),
            (requests_to_bytes(&two, Bond::InOrder), |bytes| requests_from_bytes(bytes).is_some()),
            (answers_to_bytes(&[answer.clone(), answer]), |bytes| answers_from_bytes(bytes, 2).is_some()),
        ];
        for (bytes, reads) in forms {
            for cut in 0..bytes.len() {
                prop_assert!(!reads(&bytes[..cut]));
            }
            let mut other = bytes.clone();
            other[0] = VERSION + 3;
            prop_assert!(!reads(&other));
            prop_assert!(!reads(&[bytes.as_slice(), &[after]].concat()));
        }
    }

    #[test]
    fn garbage_never_panics(mut bytes in vec(any::<u8>(), 1..200)) {
        bytes[0] = VERSION;
        _ = (Request::from_bytes(&bytes), answer_from_bytes(&bytes));
        bytes[0] = VERSION + 1;
        _ = (requests_from_bytes(&bytes), answers_from_bytes(&bytes, 2));
    }
}
