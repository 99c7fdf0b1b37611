//! Numbered tests: each edge case of a ledger has one, or a reason in `docs/ledger-cases.md`, and each of them asserts. So has each
//! threat in `docs/threats.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// How many cases there are.
const CASES: u32 = 91;
/// How many threats there are.
const THREATS: u32 = 70;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The bodies of the tests whose names begin with a case's number, by name.
fn numbered() -> BTreeMap<String, String> {
    let (mut found, mut folders) =
        (BTreeMap::new(), ["ledger", "tests", "wallet-api/src"].map(|at| root().join(at)).to_vec());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                collect(&fs::read_to_string(&path).unwrap(), &mut found);
            }
        }
    }
    found
}

fn collect(text: &str, found: &mut BTreeMap<String, String>) {
    for part in text.split("fn case_").skip(1) {
        let name: String = part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        if !name.starts_with(|c: char| c.is_ascii_digit()) {
            continue; // the text of this very file
        }
        // To the brace that closes it, which stands where its line begins.
        let indent = text[..text.find(&format!("fn case_{name}")).unwrap()].rsplit('\n').next().unwrap_or_default();
        let close = format!("\n{}}}", " ".repeat(indent.len() - indent.trim_start().len()));
        found.insert(format!("case_{name}"), part.split(&close).next().unwrap_or_default().to_owned());
    }
}

/// The numbers in a name: `case_10_to_15_and_19_no_…` is 10 to 15, and 19.
fn numbers(name: &str) -> BTreeSet<u32> {
    let mut numbers = BTreeSet::new();
    let (mut words, mut last) = (name.split('_').skip(1).peekable(), 0);
    while let Some(word) = words.next() {
        let next = words.peek().and_then(|next| next.parse().ok());
        match (word.parse::<u32>(), word, next) {
            (Ok(number), ..) => {
                numbers.insert(number);
                last = number;
            }
            (Err(_), "to", Some(end)) => numbers.extend(last..=end),
            (Err(_), "and", Some(_)) => {}
            _ => break,
        }
    }
    numbers
}

#[test]
fn the_numbers_in_a_name_are_read_right() {
    assert_eq!(numbers("case_10_to_12_and_19_no_2"), BTreeSet::from([10, 11, 12, 19]));
    assert_eq!(numbers("case_71_73_to_the_past"), BTreeSet::from([71, 73]));
}

#[test]
fn every_edge_case_of_a_ledger_has_a_test_or_a_reason_and_the_page_names_it() {
    let page = fs::read_to_string(root().join("docs/ledger-cases.md")).unwrap();
    let tests = numbered();
    let tested: BTreeSet<u32> = tests.keys().flat_map(|name| numbers(name)).collect();
    for case in 1..=CASES {
        let line = page.lines().find(|line| line.starts_with(&format!("{case}. ")));
        let line = line.unwrap_or_else(|| panic!("docs/ledger-cases.md says nothing of case {case}"));
        let reasoned = line.contains("No test of this number");
        assert!(tested.contains(&case) != reasoned, "case {case} has a test, or a reason why not");
        let named = line.split('`').filter(|word| word.starts_with("case_"));
        named.for_each(|name| assert!(tests.contains_key(name), "{name} is no test any more"));
    }
    assert_eq!(tested.iter().find(|case| !(1..=CASES).contains(*case)), None, "there is no such case");
}

/// What is read back of books, an account, a record, a proof or a value: an assertion that names none of it is content with
/// what it was answered.
const STATE: &str = "available balance balances bytes captured count debt found free head heads held history leaf left lots mix \
    outstanding posted record recorded records remaining root rows scalar seq settled stands state statement total totals verify \
    wallet whole";

/// The assertions of a body, each to the end of its statement.
fn assertions(body: &str) -> impl Iterator<Item = &str> {
    let begins = ["assert", "is_golden", "expect", "verify("].into_iter().flat_map(|word| body.match_indices(word));
    begins.map(|(at, _)| body[at..].split(';').next().unwrap_or_default())
}

fn looks_at_state(body: &str) -> bool {
    let mut words = assertions(body).flat_map(|one| one.split(|c: char| !c.is_ascii_lowercase()));
    words.any(|word| STATE.split_whitespace().any(|state| word == state))
}

#[test]
fn an_assertion_of_a_refusal_alone_looks_at_no_state() {
    assert!(!looks_at_state("let balance = 1;\n assert_eq!(ask(), Some(Refusal::Floor { account }));\n"));
    assert!(looks_at_state("assert_eq!(ask(), Err(Invalid::Clock));\n assert_eq!(balance(&desk.state), 1);\n"));
}

#[test]
fn a_numbered_test_asserts_what_it_claims_of_what_it_left() {
    let careless: Vec<_> =
        numbered().into_iter().filter(|(_, body)| !looks_at_state(body)).map(|(name, _)| name).collect();
    assert!(careless.is_empty(), "{careless:?} assert nothing of what they left");
}

/// Every threat has a row that names its tests or says why there is none, and every test with a threat's number stands in it.
#[test]
fn threats_are_all_listed_with_tests_that_are_there() {
    let page = fs::read_to_string(root().join("docs/threats.md")).unwrap();
    let rows: BTreeMap<u32, &str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| T"))
        .map(|row| row.split_once(" | ").unwrap())
        .map(|(number, rest)| (number.parse().unwrap(), rest))
        .collect();
    assert_eq!(rows.keys().copied().collect::<Vec<_>>(), (1..=THREATS).collect::<Vec<_>>());
    let tests = functions();
    for (number, row) in &rows {
        let named: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
        for name in named.iter().filter(|name| name.contains('_')) {
            assert!(tests.contains(*name), "T{number}: there is no test {name}");
        }
        assert_eq!(named.is_empty(), row.contains(" | later | "), "T{number}");
        let own = format!("t{number:02}_");
        for test in tests.iter().filter(|test| test.starts_with(&own) || test.contains(&format!("_{own}"))) {
            assert!(named.contains(&test.as_str()), "T{number}: {test} is not in its row");
        }
    }
}

/// The names of all functions of the code and its tests.
fn functions() -> BTreeSet<String> {
    let (mut found, mut folders) =
        (BTreeSet::new(), ["ledger/src", "tests", "wallet-api/src"].map(|at| root().join(at)).to_vec());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let name = |part: &str| part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                found.extend(text.split("fn ").skip(1).map(name));
            }
        }
    }
    found
}
