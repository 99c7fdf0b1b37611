//! Every line comes out once, and every row has a key of its own.

use std::{collections::HashSet, io::Read};

use proptest::prelude::*;

use super::*;

fn read(input: impl AsRef<[u8]>) -> Vec<Entry> {
    Rows::new(input.as_ref()).unwrap().collect::<Result<_, _>>().unwrap()
}

fn reasons(body: &str) -> Vec<(u64, &'static str)> {
    let entry = |entry| match entry {
        Entry::Row(row) => (row.line, "row"),
        Entry::Reject(reject) => (reject.line, reject.reason.code()),
    };
    read(format!("ID,Date,Amount\n{body}")).into_iter().map(entry).collect()
}

fn rows(input: &str) -> Vec<Row> {
    let row = |entry| if let Entry::Row(row) = entry { Some(row) } else { None };
    read(input).into_iter().filter_map(row).collect()
}

fn merchant() -> Uuid {
    Uuid::from_u128(0x0190_a1b2_c3d4_7e5f_8a6b_0c1d_2e3f_4a5b)
}

#[test]
fn columns_are_found_by_name_behind_a_byte_order_mark() {
    let found = rows("\u{feff}note, amount ,\"DATE\",id\r\nhi,11.77,20170101,1\r\n,\"12\",2017-01-12,\" a,b \"");
    let expected = |line, customer: &str, day, amount_minor| Row {
        line,
        customer: customer.into(),
        date: NaiveDate::from_ymd_opt(2017, 1, day).unwrap(),
        amount_minor,
        repeat: 1,
    };
    assert_eq!(found, [expected(2, "1", 1, 1177), expected(3, "a,b", 12, 1200)]);
}

#[test]
fn a_file_without_a_usable_header_is_refused_as_a_whole() {
    let refusal = |input: &[u8]| Rows::new(input).unwrap_err().to_string();
    assert_eq!(refusal(b""), "the file is empty");
    assert_eq!(refusal(b"\n1,20170101,1"), "the header lacks ID, Date, Amount");
    assert_eq!(refusal(b"1,20170101,11.77\n"), "the header lacks ID, Date, Amount");
    assert_eq!(refusal(b"ID;Date;Amount\n"), "the header lacks ID, Date, Amount");
    assert_eq!(refusal(b"id,Amount,\n"), "the header lacks Date");
    assert_eq!(refusal(b"ID,Date,Amount,amount\n"), "the header names Amount twice");
    assert_eq!(refusal(b"\xff\xfeI\0D\0"), "the first line is not a CSV header");
    assert_eq!(refusal(b"\"ID,Date,Amount\n"), "the first line is not a CSV header");
    assert_eq!(refusal(&[b'x'; 70_000]), "the first line is not a CSV header");
}

#[test]
fn every_line_that_is_no_purchase_says_why() {
    let body = "1,20170101,0\n\n1,20170229,5\n1,20170101,-5\r\n1,20170101,1.234\n1,20170101\n1,20170101,1,50\n \
                    \t\n,20170101,1\na\0b,20170101,1\n\"1,20170101,1\n1,20170101,1e3\n1,20170101,999999999999\n1,20170101,1";
    let codes: Vec<_> = reasons(body).into_iter().map(|(_, code)| code).collect();
    let expected = [
        "zero_amount",
        "empty_line",
        "bad_date",
        "negative_amount",
        "too_many_decimals",
        "missing_column",
        "extra_column",
        "empty_line",
        "missing_id",
        "bad_id",
        "bad_quotes",
        "bad_amount",
        "amount_too_large",
        "row",
    ];
    assert_eq!(codes, expected);
    assert_eq!(reasons(&format!("{},20170101,1\n", "x".repeat(129))), [(2, "bad_id")]);
    assert_eq!(reasons(&format!("{},20170101,1\n", "é".repeat(128))), [(2, "row")]);
    assert_eq!(reasons(&format!("{}\n1,20170101,1\n", "x".repeat(70_000))), [(2, "line_too_long"), (3, "row")]);
}

#[test]
fn what_is_kept_of_a_reject_is_short_and_printable() {
    let raw_of = |line: &[u8]| match read([b"ID,Date,Amount\n", line].concat()).remove(0) {
        Entry::Reject(reject) => (reject.reason.code(), reject.raw),
        Entry::Row(row) => panic!("{row:?}"),
    };
    assert_eq!(raw_of(b"a\xffb\0\x1b[2J"), ("not_utf8", "a\u{fffd}b\u{fffd}\u{fffd}[2J".to_owned()));
    assert_eq!(raw_of("€".repeat(201).as_bytes()).1, "€".repeat(200));
    assert_eq!(raw_of("\u{1f600}".repeat(201).as_bytes()).1, "\u{1f600}".repeat(200));
    assert_eq!(raw_of(&[b'x'; 1 << 20]), ("line_too_long", "x".repeat(200)));
}

#[test]
fn equal_purchases_are_told_apart_by_their_count_however_the_amount_is_written() {
    let repeats: Vec<_> = rows("ID,Date,Amount\n1,20170101,12\n1,20170102,12\n1,2017-01-01,12.00\n1,20170101,12.0\n")
        .iter()
        .map(|row| row.repeat)
        .collect();
    assert_eq!(repeats, [1, 1, 2, 3]);
}

#[test]
fn a_row_that_cannot_be_counted_is_no_repeat_of_another() {
    let (mut repeats, date) = (Repeats::default(), NaiveDate::from_ymd_opt(2017, 1, 1).unwrap());
    assert_eq!(repeats.count("1", date, 1), Some(1));
    repeats.0.values_mut().for_each(|seen| *seen = u32::MAX);
    assert_eq!(repeats.count("1", date, 1), None);
}

/// Computed once outside this code. If it changes, files imported before are posted a second time.
#[test]
fn the_key_of_a_row_never_changes() {
    let hex = |row: &Row| key(&merchant(), row).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let found = rows("ID,Date,Amount\n1,20170101,11.77\n1,20170101,11.77\n");
    let hexes: Vec<_> = found.iter().map(hex).collect();
    assert_eq!(hexes, ["5581bceca1416ef6a9ab5d5b283d7b87", "d0697384adff55200e7b0417106cd5e1"]);
}

#[test]
fn a_disk_that_fails_ends_the_reading_with_the_last_line_read() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("gone"))
        }
    }
    let mut rows = Rows::new(BufReader::new(b"ID,Date,Amount\n1,20170101,1\n".chain(Broken))).unwrap();
    assert!(matches!(rows.next(), Some(Ok(Entry::Row(_)))));
    assert!(matches!(rows.next(), Some(Err(ImportError::Read { line: 2, .. }))));
    assert!(rows.next().is_none());
}

fn any_line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (0..4u8, 1..4u8, 0..5u8).prop_map(|(id, day, amount)| format!("{id},2017010{day},{amount}").into_bytes()),
        (0..4u8, 1..4u8).prop_map(|(id, day)| format!("\"{id}\",2017-01-0{day},1.00").into_bytes()),
        proptest::collection::vec(any::<u8>().prop_filter("no line end", |byte| *byte != b'\n'), 0..40),
    ]
}

proptest! {
    /// Whatever the lines hold, each comes out once, in order, and a line more or less does not change the others.
    #[test]
    fn every_line_comes_out_once(lines in proptest::collection::vec(any_line(), 0..60), crlf in any::<bool>()) {
        let end: &[u8] = if crlf { b"\r\n" } else { b"\n" };
        let mut input = [b"ID,Date,Amount", end].concat();
        lines.iter().for_each(|line| input.extend([line.as_slice(), end].concat()));
        let numbers: Vec<_> = read(&input).iter().map(|entry| match entry {
            Entry::Row(row) => row.line,
            Entry::Reject(reject) => reject.line,
        }).collect();
        prop_assert_eq!(numbers, (2..).take(lines.len()).collect::<Vec<u64>>());
    }

    /// No two rows of a file share a key, and reading it again gives the same ones.
    #[test]
    fn keys_are_distinct_within_a_file_and_the_same_next_time(lines in proptest::collection::vec(any_line(), 0..60)) {
        let input = [&b"ID,Date,Amount\n"[..], &lines.join(&b'\n')].concat();
        let keys = || read(&input).iter().filter_map(|entry| match entry {
            Entry::Row(row) => Some(key(&merchant(), row)),
            Entry::Reject(_) => None,
        }).collect::<Vec<_>>();
        let (first, second) = (keys(), keys());
        prop_assert_eq!(&first, &second);
        prop_assert_eq!(first.iter().collect::<HashSet<_>>().len(), first.len());
    }

    /// The same rows in another order have the same keys: a file sorted anew is the same file.
    #[test]
    fn keys_do_not_depend_on_the_order(lines in proptest::collection::vec(any_line(), 0..40)) {
        let keys = |lines: &[Vec<u8>]| {
            let input = [&b"ID,Date,Amount\n"[..], &lines.join(&b'\n')].concat();
            read(&input).iter().filter_map(|entry| match entry {
                Entry::Row(row) => Some(key(&merchant(), row)),
                Entry::Reject(_) => None,
            }).collect::<HashSet<_>>()
        };
        let reversed: Vec<_> = lines.iter().rev().cloned().collect();
        prop_assert_eq!(keys(&lines), keys(&reversed));
    }
}
