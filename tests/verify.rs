//! Verify is tested by lying to it: each change that a forger with every right could make turns one named check red.
//!
//! The table [`MUTATIONS`] is the truth of the table in `docs/journal.md`, and a test holds them together.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use diesel::{Connection, PgConnection};
use futures_util::future::join_all;
use ledger::closing::{Day, close};
use ledger::verify::{Check, Report, verify};
use ledger::{
    Amount, AssetId, Calendar, Change, Command, History, How, Journal, JournalId, Key, LegRef, LotTerms, Nature,
    NewAccount, NormalSide, Period, Request, Scope, Transfer,
};
use serde_json::{Value, json};
use tessera_tests::{Rewards, TestApp, TestDb, World, eur, fresh_key, run_sql};
use uuid::Uuid;

/// What a forger does, in words and in SQL, and the check that must see it.
struct Mutation {
    words: &'static str,
    sql: &'static str,
    seen_by: Check,
}

const fn mutation(words: &'static str, seen_by: Check, sql: &'static str) -> Mutation {
    Mutation { words, sql, seen_by }
}

/// What the SQL below stands on: names for seqs and accounts of the book (see [`book`]), the book as it was, and no
/// constraint or index that would keep a forger from anything.
const FORGE: &str = "
    CREATE SCHEMA forge;
    CREATE FUNCTION forge.paid() RETURNS bigint LANGUAGE sql AS 'SELECT max(seq) FROM journal.claim';
    CREATE FUNCTION forge.other() RETURNS bigint LANGUAGE sql AS
        'SELECT max(seq) FROM journal.companion WHERE seq <> forge.paid()';
    CREATE FUNCTION forge.refused() RETURNS bigint LANGUAGE sql AS 'SELECT max(seq) FROM journal.record WHERE kind = 4';
    CREATE FUNCTION forge.frozen() RETURNS bigint LANGUAGE sql AS 'SELECT min(seq) FROM journal.record WHERE kind = 3';
    CREATE FUNCTION forge.last() RETURNS bigint LANGUAGE sql AS 'SELECT seq FROM journal.head';
    CREATE FUNCTION forge.account(leg integer, side text) RETURNS bigint LANGUAGE sql AS
        'SELECT CASE side WHEN ''debit'' THEN debit ELSE credit END FROM journal.transfer t
         WHERE t.seq = forge.paid() AND t.leg = account.leg';
    CREATE FUNCTION forge.swap(seq bigint) RETURNS bigint LANGUAGE sql AS
        'SELECT CASE seq WHEN forge.paid() THEN forge.other() WHEN forge.other() THEN forge.paid() ELSE seq END';
    ALTER TABLE journal.transfer DROP CONSTRAINT transfer_amount_check, DROP CONSTRAINT transfer_check,
        DROP CONSTRAINT transfer_pkey;
    ALTER TABLE journal.record DROP CONSTRAINT record_pkey;
    ALTER TABLE journal.account DROP CONSTRAINT account_checkpoint_held_check;
";

/// Every table that a mutation may touch.
const TABLES: [&str; 17] = [
    "head",
    "watermark",
    "asset",
    "account",
    "record",
    "transfer",
    "batch",
    "key",
    "claim",
    "companion",
    "follower",
    "hold",
    "lot",
    "link",
    "closing",
    "archived",
    "standing",
];

use Check::{
    Accounts, Archived, Balances, Checkpoints, Claims, Closings, Companions, Dates, Digests, Form, Holds, Keys, Lots,
    Refunds, Refusals, Rules, Seqs, Transfers, Versions,
};

/// By table. The first law that is broken, in seq order, is the one that is named.
const MUTATIONS: &[(&str, &[Mutation])] = &[
    (
        "record",
        &[
            mutation("drop a record", Seqs, "DELETE FROM journal.record WHERE seq = forge.paid()"),
            mutation(
                "drop a whole transaction",
                Seqs,
                "DELETE FROM journal.record WHERE seq = forge.paid(); DELETE FROM journal.transfer WHERE seq = forge.paid(); DELETE FROM journal.key WHERE seq = forge.paid(); DELETE FROM journal.companion WHERE seq = forge.paid(); DELETE FROM journal.claim",
            ),
            mutation(
                "swap two transactions whole, their dates put right",
                Versions,
                "CREATE TEMP TABLE two AS SELECT seq, forge.swap(seq) AS other FROM journal.record WHERE seq IN (forge.paid(), forge.other()); UPDATE journal.record r SET seq = other, recorded_us = b.recorded_us FROM two JOIN journal.batch b ON other BETWEEN b.first_seq AND b.last_seq WHERE r.seq = two.seq; UPDATE journal.transfer t SET seq = other FROM two WHERE t.seq = two.seq; UPDATE journal.key k SET seq = other FROM two WHERE k.seq = two.seq; UPDATE journal.companion c SET seq = other FROM two WHERE c.seq = two.seq; UPDATE journal.claim c SET seq = other FROM two WHERE c.seq = two.seq",
            ),
            mutation(
                "swap two records, their dates put right",
                Claims,
                "CREATE TEMP TABLE two AS SELECT seq, forge.swap(seq) AS other FROM journal.record WHERE seq IN (forge.paid(), forge.other()); UPDATE journal.record r SET seq = other, recorded_us = b.recorded_us FROM two JOIN journal.batch b ON other BETWEEN b.first_seq AND b.last_seq WHERE r.seq = two.seq",
            ),
            mutation("swap two records", Dates, "UPDATE journal.record SET seq = forge.swap(seq)"),
            mutation(
                "add a record past the last batch",
                Seqs,
                "INSERT INTO journal.record SELECT journal, forge.last() + 1, kind, gen_random_uuid(), recorded_us, effective_us, body, meta FROM journal.record WHERE seq = forge.last()",
            ),
            mutation(
                "forge a recorded date",
                Dates,
                "UPDATE journal.record SET recorded_us = recorded_us - 1 WHERE seq = forge.paid()",
            ),
            mutation(
                "forge a recorded date and its batch's",
                Digests,
                "UPDATE journal.record SET recorded_us = recorded_us - 1 WHERE seq = forge.paid(); UPDATE journal.batch SET recorded_us = recorded_us - 1 WHERE last_seq = forge.paid()",
            ),
            mutation(
                "forge an effective date",
                Digests,
                "UPDATE journal.record SET effective_us = effective_us - 86400000000 WHERE seq = forge.paid()",
            ),
            mutation(
                "change a record's metadata",
                Digests,
                "UPDATE journal.record SET meta = replace(encode(meta, 'escape'), 'payment', 'top_up')::bytea WHERE seq = forge.paid()",
            ),
            mutation(
                "change a transaction's id",
                Digests,
                "UPDATE journal.record SET id = gen_random_uuid() WHERE seq = forge.paid()",
            ),
            mutation(
                "add a byte to a record's body",
                Form,
                "UPDATE journal.record SET body = body || '\\x00' WHERE seq = forge.paid()",
            ),
            mutation("change a record's kind", Form, "UPDATE journal.record SET kind = 9 WHERE seq = forge.paid()"),
            mutation(
                "change why a reward was dropped",
                Digests,
                "UPDATE journal.record SET body = set_byte(body, length(body) - 17, 2) WHERE seq = (SELECT max(seq) FROM journal.record WHERE CASE WHEN kind = 1 AND length(body) > 50 THEN get_byte(body, length(body) - 17) = 1 END)",
            ),
            mutation(
                "change why a request was refused",
                Digests,
                "UPDATE journal.record SET body = set_byte(body, 0, 2) WHERE seq = forge.refused()",
            ),
            mutation(
                "turn a thaw into a freeze",
                Digests,
                "UPDATE journal.record SET body = set_byte(body, 16, 1) WHERE seq = (SELECT max(seq) FROM journal.record WHERE kind = 3)",
            ),
            mutation(
                "let a refusal blame a record that comes later",
                Refusals,
                "UPDATE journal.record SET body = '\\x050000000000ffffff' WHERE seq = forge.refused()",
            ),
            mutation(
                "turn the sandbox clock back",
                Dates,
                "UPDATE journal.record SET body = '\\xffffffffffffff00' WHERE kind = 5",
            ),
        ],
    ),
    (
        "transfer",
        &[
            mutation(
                "flip a balance after a debit",
                Balances,
                "UPDATE journal.transfer SET debit_balance = debit_balance + 1 WHERE (seq, leg) = (forge.paid(), 0)",
            ),
            mutation(
                "flip a balance after a credit",
                Balances,
                "UPDATE journal.transfer SET credit_balance = credit_balance - 1 WHERE (seq, leg) = (forge.paid(), 1)",
            ),
            mutation(
                "change a held amount",
                Balances,
                "UPDATE journal.transfer SET debit_held = 1 WHERE (seq, leg) = (forge.paid(), 0)",
            ),
            mutation(
                "change an amount, not the balances",
                Balances,
                "UPDATE journal.transfer SET amount = amount + 1 WHERE (seq, leg) = (forge.paid(), 0)",
            ),
            mutation(
                "raise a payment with its balances beyond the payer's floor",
                Rules,
                "UPDATE journal.transfer SET amount = amount + 1000000, debit_balance = debit_balance - 1000000, credit_balance = credit_balance + 1000000 WHERE (seq, leg) = (forge.paid(), 0)",
            ),
            mutation(
                "raise a reward with its balances, within its budget",
                Digests,
                "UPDATE journal.transfer SET amount = amount + 1, debit_balance = debit_balance - 1, credit_balance = credit_balance + 1 WHERE (seq, leg) = (forge.paid(), 2); UPDATE journal.account SET checkpoint_version = 0, checkpoint_balance = 0; UPDATE journal.watermark SET seq = 0",
            ),
            mutation(
                "let a paused campaign give",
                Rules,
                "INSERT INTO journal.transfer SELECT journal, (SELECT min(seq) FROM journal.record WHERE kind = 1 AND seq > forge.frozen()), 1, 1, asset, debit, credit, 1, debit_balance - 1, 0, debit_version + 1, credit_balance + 1, 0, credit_version + 1 FROM journal.transfer WHERE debit = forge.account(1, 'debit') AND seq < forge.frozen()",
            ),
            mutation(
                "move nothing",
                Transfers,
                "UPDATE journal.transfer SET amount = 0 WHERE (seq, leg) = (forge.paid(), 0)",
            ),
            mutation(
                "move a negative amount",
                Transfers,
                "UPDATE journal.transfer SET amount = -amount WHERE (seq, leg) = (forge.paid(), 0)",
            ),
            mutation(
                "move an amount from an account to itself",
                Transfers,
                "UPDATE journal.transfer SET credit = debit WHERE (seq, leg) = (forge.paid(), 0)",
            ),
            mutation(
                "move points as euro",
                Transfers,
                "UPDATE journal.transfer SET asset = 1 WHERE (seq, leg) = (forge.paid(), 2)",
            ),
            mutation(
                "drop a transaction's first leg",
                Digests,
                "DELETE FROM journal.transfer WHERE (seq, leg) = (forge.paid(), 0)",
            ),
            mutation(
                "drop a transaction's last leg",
                Digests,
                "DELETE FROM journal.transfer WHERE (seq, leg) = (forge.paid(), 2)",
            ),
            mutation(
                "number a leg otherwise",
                Digests,
                "UPDATE journal.transfer SET leg = 7 WHERE (seq, leg) = (forge.paid(), 2)",
            ),
            mutation(
                "call a move a hold",
                Balances,
                "UPDATE journal.transfer SET kind = 2 WHERE (seq, leg) = (forge.paid(), 0)",
            ),
            mutation(
                "call a move by a kind there is not",
                Form,
                "UPDATE journal.transfer SET kind = 9 WHERE (seq, leg) = (forge.paid(), 0)",
            ),
            mutation(
                "skip a version",
                Versions,
                "UPDATE journal.transfer SET debit_version = debit_version + 1 WHERE (seq, leg) = (forge.paid(), 0)",
            ),
            mutation(
                "pay another account",
                Versions,
                "UPDATE journal.transfer SET credit = (SELECT id FROM journal.account WHERE asset = 1 AND id NOT IN (debit, credit) ORDER BY id LIMIT 1) WHERE (seq, leg) = (forge.paid(), 0)",
            ),
            mutation(
                "pay an account there is not",
                Accounts,
                "UPDATE journal.transfer SET credit = 1000000 WHERE (seq, leg) = (forge.paid(), 0)",
            ),
            mutation(
                "add a transfer before the first record",
                Transfers,
                "INSERT INTO journal.transfer SELECT journal, 0, leg, kind, asset, debit, credit, amount, 0, 0, 0, 0, 0, 0 FROM journal.transfer WHERE (seq, leg) = (forge.paid(), 0)",
            ),
            mutation(
                "add a transfer past the last record",
                Seqs,
                "INSERT INTO journal.transfer SELECT journal, forge.last() + 1, leg, kind, asset, debit, credit, amount, 0, 0, -1, 0, 0, -1 FROM journal.transfer WHERE (seq, leg) = (forge.paid(), 0)",
            ),
            mutation(
                "let a refusal move money",
                Refusals,
                "INSERT INTO journal.transfer SELECT t.journal, forge.refused(), 0, 1, t.asset, t.credit, t.debit, 1, c.balance - 1, 0, c.version + 1, d.balance + 1, 0, d.version + 1 FROM journal.transfer t JOIN journal.balance d ON d.id = t.debit JOIN journal.balance c ON c.id = t.credit WHERE (t.seq, t.leg) = (forge.paid(), 0); UPDATE journal.watermark SET seq = 0",
            ),
        ],
    ),
    (
        "key",
        &[
            mutation("delete a key", Keys, "DELETE FROM journal.key WHERE seq = forge.paid()"),
            mutation("delete a refusal's key", Keys, "DELETE FROM journal.key WHERE seq = forge.refused()"),
            mutation(
                "add a second key to a record",
                Keys,
                "INSERT INTO journal.key SELECT journal, scope, gen_random_uuid(), fingerprint, seq FROM journal.key WHERE seq = forge.paid()",
            ),
            mutation(
                "add a key before the first record",
                Keys,
                "INSERT INTO journal.key SELECT journal, scope, gen_random_uuid(), fingerprint, 0 FROM journal.key WHERE seq = forge.paid()",
            ),
            mutation(
                "add a key past the last record",
                Keys,
                "INSERT INTO journal.key SELECT journal, scope, gen_random_uuid(), fingerprint, forge.last() + 1 FROM journal.key WHERE seq = forge.paid()",
            ),
            mutation(
                "let a key lead to another record",
                Keys,
                "UPDATE journal.key SET seq = forge.other() WHERE seq = forge.paid()",
            ),
            mutation(
                "swap two keys",
                Digests,
                "UPDATE journal.key SET seq = CASE seq WHEN forge.paid() THEN forge.other() ELSE forge.paid() END WHERE seq IN (forge.paid(), forge.other())",
            ),
            mutation(
                "change a key",
                Digests,
                "UPDATE journal.key SET key = gen_random_uuid() WHERE seq = forge.paid()",
            ),
            mutation(
                "change what a key was used for",
                Digests,
                "UPDATE journal.key SET fingerprint = gen_random_uuid() WHERE seq = forge.paid()",
            ),
            mutation(
                "give a key to another client",
                Digests,
                "UPDATE journal.key SET scope = scope + 1 WHERE seq = forge.paid()",
            ),
        ],
    ),
    (
        "claim",
        &[
            mutation("delete a claim", Claims, "DELETE FROM journal.claim"),
            mutation("change a claim", Claims, "UPDATE journal.claim SET claim = gen_random_uuid()"),
            mutation("let another record have the claim", Claims, "UPDATE journal.claim SET seq = forge.other()"),
            mutation(
                "add a claim past the last record",
                Claims,
                "INSERT INTO journal.claim SELECT journal, gen_random_uuid(), forge.last() + 1 FROM journal.head",
            ),
        ],
    ),
    (
        "hold",
        &[
            mutation(
                "change what is left of an open hold",
                Holds,
                "UPDATE journal.hold SET remaining = remaining - 1 WHERE remaining > 0",
            ),
            mutation("open a hold that ended", Holds, "UPDATE journal.hold SET remaining = 1 WHERE remaining = 0"),
            mutation("let a hold end earlier", Holds, "UPDATE journal.hold SET expires_us = expires_us - 1"),
            mutation("change what was held", Holds, "UPDATE journal.hold SET amount = amount + 1"),
            mutation("drop a hold", Holds, "DELETE FROM journal.hold WHERE remaining > 0"),
            mutation(
                "add a hold",
                Holds,
                "INSERT INTO journal.hold SELECT journal, seq, leg + 1, debit, credit, asset, amount, remaining, expires_us FROM journal.hold",
            ),
            mutation(
                "add a hold past the last record",
                Holds,
                "INSERT INTO journal.hold SELECT journal, forge.last() + 1, leg, debit, credit, asset, amount, remaining, expires_us FROM journal.hold LIMIT 1",
            ),
        ],
    ),
    (
        "lot",
        &[
            mutation("make a lot larger", Lots, "UPDATE journal.lot SET remaining = remaining + 1 WHERE remaining > 0"),
            mutation("free a lot that is held", Lots, "UPDATE journal.lot SET held = 0"),
            mutation(
                "let a lot expire later",
                Lots,
                "UPDATE journal.lot SET expires_us = expires_us + 1 WHERE remaining > 0 AND expires_us < 9223372036854775807",
            ),
            mutation("change what a lot cost", Lots, "UPDATE journal.lot SET unit_cost = 1 WHERE remaining > 0"),
            mutation("drop a lot", Lots, "DELETE FROM journal.lot WHERE remaining > 0"),
            mutation(
                "add a lot",
                Lots,
                "INSERT INTO journal.lot SELECT journal, account, expires_us, earned_day - 1, activates_us, campaign, unit_cost, 1, 0 FROM journal.lot LIMIT 1",
            ),
        ],
    ),
    (
        "link",
        &[
            mutation("drop a link", Refunds, "DELETE FROM journal.link WHERE kind = 1"),
            mutation("make a refund smaller", Refunds, "UPDATE journal.link SET amount = amount - 1 WHERE kind = 1"),
            mutation("lead a link elsewhere", Refunds, "UPDATE journal.link SET of_leg = of_leg + 1 WHERE kind = 3"),
            mutation(
                "add a link past the last record",
                Refunds,
                "INSERT INTO journal.link SELECT journal, of_seq, of_leg, forge.last() + 1, 0, kind, amount FROM journal.link LIMIT 1",
            ),
        ],
    ),
    (
        "companion",
        &[
            mutation(
                "change a companion's body",
                Companions,
                "UPDATE journal.companion SET body = body || '\\x20' WHERE seq = forge.paid()",
            ),
            mutation(
                "change a companion's key",
                Companions,
                "UPDATE journal.companion SET key = gen_random_uuid() WHERE seq = forge.paid()",
            ),
            mutation("delete a companion", Companions, "DELETE FROM journal.companion WHERE seq = forge.paid()"),
            mutation(
                "add a companion",
                Companions,
                "INSERT INTO journal.companion SELECT journal, kind, gen_random_uuid(), seq, 1, body FROM journal.companion WHERE seq = forge.paid()",
            ),
            mutation(
                "give a refusal a companion",
                Companions,
                "INSERT INTO journal.companion SELECT journal, kind, gen_random_uuid(), forge.refused(), 0, body FROM journal.companion WHERE seq = forge.paid()",
            ),
            mutation(
                "add a companion past the last record",
                Companions,
                "INSERT INTO journal.companion SELECT journal, kind, gen_random_uuid(), forge.last() + 1, 0, body FROM journal.companion WHERE seq = forge.paid()",
            ),
        ],
    ),
    (
        "account",
        &[
            mutation("open a closed account", Accounts, "UPDATE journal.account SET closed = false WHERE closed"),
            mutation("raise an allowance", Accounts, "UPDATE journal.account SET nature_minor = 10 WHERE nature = 2"),
            mutation("begin a period anew", Accounts, "UPDATE journal.account SET period_us = 1 WHERE nature = 2"),
            mutation("take an account's lots away", Accounts, "UPDATE journal.account SET nature = 0 WHERE nature = 1"),
            mutation(
                "lower an account's floor in its row",
                Accounts,
                "UPDATE journal.account SET floor = -1000000 WHERE id = forge.account(0, 'debit')",
            ),
            mutation(
                "lower an account's floor in its row and its record",
                Digests,
                "UPDATE journal.account SET floor = NULL WHERE id = forge.account(0, 'debit'); UPDATE journal.record SET body = substr(body, 1, length(body) - 10) || '\\x0000' WHERE seq = forge.account(0, 'debit')",
            ),
            mutation(
                "freeze an account in its row",
                Accounts,
                "UPDATE journal.account SET credits_frozen = true WHERE id = forge.account(0, 'debit')",
            ),
            mutation(
                "give an account to another owner",
                Accounts,
                "UPDATE journal.account SET owner = gen_random_uuid() WHERE id = forge.account(0, 'debit')",
            ),
            mutation(
                "give an account another public id",
                Accounts,
                "UPDATE journal.account SET public_id = gen_random_uuid() WHERE id = forge.account(0, 'debit')",
            ),
            mutation(
                "give an account another asset",
                Accounts,
                "UPDATE journal.account SET asset = 2 WHERE id = forge.account(0, 'debit')",
            ),
            mutation(
                "turn an account to its other side",
                Accounts,
                "UPDATE journal.account SET normal_side = 3 - normal_side WHERE id = forge.account(0, 'debit')",
            ),
            mutation(
                "delete an account's row",
                Accounts,
                "DELETE FROM journal.account WHERE id = forge.account(0, 'debit')",
            ),
            mutation(
                "add an account that no record opened",
                Accounts,
                "INSERT INTO journal.account (journal, id, public_id, asset, normal_side) SELECT journal, 1000000, gen_random_uuid(), 1, 1 FROM journal.head",
            ),
            mutation(
                "change a checkpoint's balance",
                Checkpoints,
                "UPDATE journal.account SET checkpoint_balance = checkpoint_balance + 1 WHERE id = forge.account(0, 'debit')",
            ),
            mutation(
                "set a checkpoint back, not its balance",
                Checkpoints,
                "UPDATE journal.account SET checkpoint_version = checkpoint_version - 1 WHERE id = forge.account(0, 'debit')",
            ),
            mutation(
                "forget a checkpoint that the watermark counts on",
                Checkpoints,
                "UPDATE journal.account SET checkpoint_version = 0, checkpoint_balance = 0 WHERE id = forge.account(0, 'debit')",
            ),
            mutation(
                "set a checkpoint ahead",
                Checkpoints,
                "UPDATE journal.account SET checkpoint_version = checkpoint_version + 1 WHERE id = forge.account(0, 'debit')",
            ),
            mutation(
                "give an untouched account a balance",
                Checkpoints,
                "UPDATE journal.account SET checkpoint_version = 0, checkpoint_balance = 5 WHERE id = forge.account(0, 'debit')",
            ),
        ],
    ),
    (
        "asset",
        &[
            mutation("rename an asset", Accounts, "UPDATE journal.asset SET code = 'USD' WHERE code = 'EUR'"),
            mutation("give an asset another scale", Accounts, "UPDATE journal.asset SET scale = 3 WHERE code = 'EUR'"),
        ],
    ),
    (
        "batch",
        &[
            mutation("delete the last batch's row", Seqs, "DELETE FROM journal.batch WHERE last_seq = forge.last()"),
            mutation("delete a batch's row", Seqs, "DELETE FROM journal.batch WHERE last_seq = forge.paid()"),
            mutation(
                "let two batches overlap",
                Seqs,
                "UPDATE journal.batch SET first_seq = first_seq - 1 WHERE last_seq = forge.paid()",
            ),
            mutation(
                "change a batch's digest",
                Digests,
                "UPDATE journal.batch SET digest = set_byte(digest, 0, get_byte(digest, 0) # 1) WHERE last_seq = forge.paid()",
            ),
            mutation("let an epoch go back", Seqs, "UPDATE journal.batch SET epoch = 0 WHERE last_seq = forge.paid()"),
            mutation(
                "let an epoch come that nobody led",
                Seqs,
                "UPDATE journal.batch SET epoch = 99 WHERE last_seq = forge.last()",
            ),
            mutation(
                "let a batch's time go back",
                Dates,
                "UPDATE journal.batch SET recorded_us = 1 WHERE last_seq = forge.paid(); UPDATE journal.record SET recorded_us = 1 WHERE seq = forge.paid()",
            ),
            mutation(
                "let a batch be of rules not known",
                Form,
                "UPDATE journal.batch SET version = 4 WHERE last_seq = forge.paid()",
            ),
            mutation(
                "cut the tail off, and set the head back",
                Seqs,
                "DELETE FROM journal.record WHERE seq = forge.last(); DELETE FROM journal.key WHERE seq = forge.last(); DELETE FROM journal.batch WHERE last_seq = forge.last(); UPDATE journal.head SET (seq, last_us, digest) = (SELECT last_seq, recorded_us, digest FROM journal.batch ORDER BY last_seq DESC LIMIT 1)",
            ),
        ],
    ),
    (
        "head",
        &[
            mutation("let the head be of rules not known", Form, "UPDATE journal.head SET version = 4"),
            mutation("set the head ahead", Seqs, "UPDATE journal.head SET seq = seq + 1"),
            mutation("set the head back", Seqs, "UPDATE journal.head SET seq = seq - 1"),
            mutation(
                "change the head's digest",
                Digests,
                "UPDATE journal.head SET digest = set_byte(digest, 0, get_byte(digest, 0) # 1)",
            ),
            mutation("change the head's time", Dates, "UPDATE journal.head SET last_us = last_us + 1"),
            mutation("change the head's clock", Dates, "UPDATE journal.head SET clock_offset_us = 0"),
            mutation("set the head's epoch back", Seqs, "UPDATE journal.head SET epoch = 0"),
            mutation("claim another fork", Digests, "UPDATE journal.head SET fork = gen_random_uuid()"),
            mutation("call a sandbox's books real", Dates, "UPDATE journal.head SET sandbox = false"),
            mutation(
                "move the books to another journal",
                Digests,
                "UPDATE journal.head SET fork = '00000000-0000-0000-0000-000000000000'",
            ),
        ],
    ),
    (
        "follower",
        &[mutation(
            "set a cursor ahead",
            Seqs,
            "INSERT INTO journal.follower SELECT journal, 'forger', fork, epoch, seq + 1 FROM journal.head",
        )],
    ),
    (
        "closing",
        &[
            mutation("leave a closing out", Closings, "DELETE FROM journal.closing WHERE day = 1"),
            mutation(
                "close a day at another record",
                Closings,
                "UPDATE journal.closing SET seq = seq - 1 WHERE day = 2",
            ),
            mutation(
                "let a day end elsewhere",
                Closings,
                "UPDATE journal.closing SET ends_us = ends_us - 1 WHERE day = 2",
            ),
            mutation(
                "change a closing's totals",
                Closings,
                "UPDATE journal.closing SET totals = set_byte(totals, length(totals) - 1, get_byte(totals, length(totals) - 1) # 1) WHERE day = 2",
            ),
            mutation(
                "add a byte to a closing's totals",
                Closings,
                "UPDATE journal.closing SET totals = totals || '\\x00'",
            ),
            mutation("hide what came late", Closings, "UPDATE journal.closing SET late = late + 1 WHERE day = 2"),
            mutation("change who closed a day", Closings, "UPDATE journal.closing SET closed_by = 9 WHERE day = 1"),
            mutation(
                "change when a day was closed",
                Closings,
                "UPDATE journal.closing SET closed_us = 1 WHERE day = 2",
            ),
            mutation(
                "change a closing's digest",
                Closings,
                "UPDATE journal.closing SET digest = set_byte(digest, 0, get_byte(digest, 0) # 1) WHERE day = 1",
            ),
        ],
    ),
    ("watermark", &[mutation("set it ahead", Seqs, "UPDATE journal.watermark SET seq = forge.last() + 1")]),
    (
        "archived",
        &[mutation(
            "call a range archived that there is not",
            Archived,
            "INSERT INTO journal.archived SELECT journal, 500, 599, 7, decode(repeat('00', 32), 'hex'), 'tessera-journal-' || journal || '-seqs-500-599.transfers' FROM journal.head",
        )],
    ),
    (
        "standing",
        &[mutation(
            "say how an account stood at the end of a range that is not archived",
            Archived,
            "INSERT INTO journal.standing SELECT journal, id, 1 << 20, 0, 0, 1 FROM journal.account LIMIT 1",
        )],
    ),
];

/// A small book with one of everything: payments with and without rewards, a claim, refusals, a pause and its end, a
/// clock move, an account that only points know. The last record is a refusal, and the payment with the claim is the
/// last to touch its accounts.
async fn book() -> (TestDb<'static>, World) {
    let app = TestApp::start();
    let world = &app.world;
    let api = app.api();
    let shop = world.shop("shop", Rewards { budget: 200, ..Rewards::PLENTY }).await;
    let (anna, bruno) = (world.customer("anna").await, world.customer("bruno").await);
    world.top_up(anna, 20_000).await;
    world.top_up(bruno, 5_000).await;
    let pay = async |customer, minor: i64, reference: Value, status: u16| {
        let body = json!({"customer": customer, "merchant": shop.merchant, "amount": eur(minor),
            "instrument": {"kind": "wallet"}, "reference": reference});
        api.post("/v1/payments", &body).await.expect(status)
    };
    pay(anna, 9_000, Value::Null, 201).await; // 1.80 of 2.00
    pay(bruno, 4_000, Value::Null, 201).await; // 0.80 do not fit: dropped
    pay(bruno, 4_000, Value::Null, 422).await;
    let campaign = format!("/v1/campaigns/{}", shop.campaign);
    api.post(&format!("{campaign}/pause"), &json!({})).await.expect(201);
    pay(bruno, 150, Value::Null, 201).await; // paused
    api.post(&format!("{campaign}/resume"), &json!({})).await.expect(201);
    api.post("/v1/sandbox/clock/advance", &json!({"seconds": 3_600})).await.expect(201);
    // Some at once, so that a batch has several records.
    let cards = (0..6).map(|n| {
        json!({"customer": bruno, "merchant": shop.merchant, "amount": eur(100 + n),
        "instrument": {"kind": "external", "rail": "card"}})
    });
    let cards: Vec<Value> = cards.collect();
    join_all(cards.iter().map(|body| api.post("/v1/payments", body))).await;
    pay(anna, 400, json!("order-1"), 201).await;
    let (journal, tenant) = (app.journal().clone(), world.tenant);
    tokio::task::spawn_blocking(move || keep(&journal, JournalId(tenant))).await.unwrap();
    close_two_days(&world.url, JournalId(world.tenant));
    pay(anna, 1_000_000, Value::Null, 422).await;
    app.into_db()
}

/// Two days that ended when they had to, for a test: in the middle of the book, and before its last record.
fn close_two_days(url: &str, journal: JournalId) {
    let conn = &mut PgConnection::establish(url).unwrap();
    let head = ledger::read::head(conn, journal).unwrap().unwrap();
    let middle = ledger::read::record(conn, journal, head.seq / 2).unwrap().unwrap().recorded_us;
    for (day, ends_us) in [(1, middle), (2, head.last_us + 1)] {
        let day = Day { day, ends_us, now_us: i64::MAX, by: 7, skip: false };
        close(conn, &History::default(), journal, day, ledger::read::Until::ENDLESS).unwrap();
    }
}

/// What is kept beside balances: an open hold, one captured in part and given back, lots spent, pinned and expired, a row
/// moved back, a quota in use, an account closed.
fn keep(journal: &Journal, id: JournalId) {
    let ask = |command| {
        let key = Key { scope: Scope(7), key: fresh_key(), fingerprint: Uuid::nil() };
        let request =
            Request { journal: id, key, command, effective_us: None, meta: b"{}".to_vec(), companions: Vec::new() };
        journal.submit_blocking(request, Duration::from_secs(20)).unwrap().record.seq
    };
    let open = |floor, nature| {
        let (public_id, asset, normal_side, owner, ceiling) = (fresh_key(), AssetId(1), NormalSide::Credit, None, None);
        ask(Command::Open(NewAccount { public_id, asset, normal_side, owner, floor, ceiling, nature }));
        public_id
    };
    let by = |how, debit, credit, minor| Transfer::by(how, debit, credit, Amount::new(minor, AssetId(1)));
    let post = |transfers| {
        ask(Command::Transact { id: fresh_key(), open: Vec::new(), transfers, groups: Vec::new(), claim: None })
    };
    let (source, shop) = (open(None, Nature::Plain), open(None, Nature::Plain));
    let club = open(Some(0), Nature::Lots { breakage: source, grace_us: 5 });
    let (period, calendar) = (Period::Day, Calendar::Rome);
    let quota = open(Some(0), Nature::Quota { pool: source, allowance: 9, period, calendar });
    let lot = |expires_us| Some(LotTerms { expires_us, ..LotTerms::default() });
    let earning = |expires_us, minor| Transfer { lot: lot(expires_us), ..by(How::Move, source, club, minor) };
    post(vec![earning(None, 50), earning(Some(253_000_000_000_000_000), 20), earning(Some(1_000), 7)]);
    post(vec![by(How::Hold { expires_us: None }, club, shop, 30)]);
    let hold = LegRef { seq: post(vec![by(How::Hold { expires_us: None }, club, shop, 12)]), leg: 0 };
    let of = LegRef { seq: post(vec![by(How::Capture { hold }, club, shop, 5)]), leg: 0 };
    post(vec![by(How::Void { hold }, club, shop, 0)]);
    post(vec![by(How::Refund { of, owing: false }, shop, club, 2), by(How::Move, quota, source, 4)]);
    let empty = open(None, Nature::Plain);
    ask(Command::Change { account: empty, change: Change::Closed { closed: true } });
}

fn report(url: &str, tenant: i64) -> Report {
    verify(&mut PgConnection::establish(url).unwrap(), JournalId(tenant), |_, _| ()).unwrap()
}

#[tokio::test]
async fn every_mutation_turns_its_check_red() {
    let (db, world) = book().await;
    let whole = report(&db.url(), world.tenant);
    assert!(whole.ok && whole.refusals == 2, "{whole:?}");
    let keep = TABLES.map(|table| format!("CREATE TABLE forge.{table} AS TABLE journal.{table};"));
    run_sql(&db.super_url(), &format!("{FORGE} {}", keep.concat()));
    let restore =
        TABLES.map(|table| format!("DELETE FROM journal.{table}; INSERT INTO journal.{table} TABLE forge.{table};"));
    let mut wrong = Vec::new();
    for Mutation { words, sql, seen_by } in MUTATIONS.iter().flat_map(|(_, mutations)| *mutations) {
        run_sql(&db.super_url(), &format!("{} {sql}", restore.concat()));
        let found = report(&db.url(), world.tenant);
        match &found.broken {
            Some(broken) if broken.check == *seen_by && !found.ok => {}
            other => wrong.push(format!("{words}: {seen_by} was to see it, found {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{} mutations:\n{}", wrong.len(), wrong.join("\n"));
    run_sql(&db.super_url(), &restore.concat());
    assert_eq!(report(&db.url(), world.tenant), whole, "what is put back is whole again");
}

/// A tail cut off with everything that points at it leaves a shorter, whole book: no table of ours can tell. This is what
/// heads signed and kept elsewhere will be for; until then the limit is known and said.
#[tokio::test]
async fn a_tail_cut_off_with_all_that_points_at_it_is_not_seen() {
    let (db, world) = book().await;
    let cut = "
        DELETE FROM journal.record WHERE seq = (SELECT seq FROM journal.head);
        DELETE FROM journal.key WHERE seq = (SELECT seq FROM journal.head);
        DELETE FROM journal.batch WHERE last_seq = (SELECT seq FROM journal.head);
        UPDATE journal.head SET (seq, last_us, digest) =
            (SELECT last_seq, recorded_us, digest FROM journal.batch ORDER BY last_seq DESC LIMIT 1);";
    run_sql(&db.super_url(), cut);
    let found = report(&db.url(), world.tenant).broken.expect("followers remember a later seq");
    assert_eq!(found.check, Seqs);
    let forget = "UPDATE journal.follower SET seq = least(follower.seq, h.seq) FROM journal.head h;
        UPDATE journal.watermark SET seq = least(watermark.seq, h.seq) FROM journal.head h;";
    run_sql(&db.super_url(), forget);
    assert!(report(&db.url(), world.tenant).ok);
}

/// Conservation is left out: each transfer adds as much as it takes, so once every row and balance is right the sum is.
/// It guards `verify` itself.
#[test]
fn every_check_is_seen_red() {
    let all = MUTATIONS.iter().flat_map(|(_, mutations)| *mutations);
    let seen: BTreeSet<String> = all.map(|mutation| mutation.seen_by.to_string()).collect();
    let every = "Accounts Archived Balances Checkpoints Claims Closings Companions Dates Digests Form Holds Keys Lots Refunds Refusals Rules \
        Seqs Transfers Versions";
    assert_eq!(seen.iter().map(String::as_str).collect::<Vec<_>>().join(" "), every);
}

/// `UPDATE_DOCS=1 cargo test -p tessera-tests verify` writes the table of `docs/journal.md` anew.
#[test]
fn the_documented_table_is_the_tested_one() {
    const FROM: &str = "<!-- written by tests/verify.rs -->\n";
    const TO: &str = "<!-- end -->";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/journal.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(FROM).expect("docs/journal.md has a place for the table");
    let (_, after) = rest.split_once(TO).expect("the table ends");
    let wanted = format!("{before}{FROM}{}{TO}{after}", table());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    } else {
        assert!(page == wanted, "run UPDATE_DOCS=1 cargo test -p tessera-tests verify");
    }
}

/// The mutations as a table: a line per table and check.
fn table() -> String {
    let mut lines = String::from("| table | change | check |\n|---|---|---|\n");
    for (table, mutations) in MUTATIONS {
        let mut checks: Vec<Check> = mutations.iter().map(|mutation| mutation.seen_by).collect();
        checks.sort_by_key(Check::to_string);
        checks.dedup();
        for (place, check) in checks.into_iter().enumerate() {
            let table = if place == 0 { format!("`{table}`") } else { String::new() };
            let words = mutations.iter().filter(|mutation| mutation.seen_by == check).map(|mutation| mutation.words);
            let words = words.collect::<Vec<_>>().join("; ");
            lines.push_str(&format!("| {table} | {words} | `{}` |\n", check.to_string().to_lowercase()));
        }
    }
    lines
}
