//! Every SQL statement on the log's tables.

pub(crate) mod rows;

use diesel::sql_types::{BigInt, Binary, Integer, Nullable, Uuid as SqlUuid};
use diesel::{PgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::JournalId;
use crate::bind::{Arg, statement};
use crate::proof::tiles::{self, Edge, Strip};
use crate::proof::{Hash, Head, KeyId, PublicKey, Salts, SignedHead};
use crate::store::StoreError;

/// Adds strips, those of leaves under the version of the secret that salted them.
pub(super) fn add_strips(
    conn: &mut PgConnection,
    journal: JournalId,
    strips: &[Strip],
    salt: i32,
) -> Result<(), StoreError> {
    const TEXT: &str = "INSERT INTO journal.strip (journal, level, tile, start, salt, hashes) \
        SELECT ?, unnest(?), unnest(?), unnest(?), unnest(?), unnest(?)";
    let int4 = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let levels: Vec<i32> = strips.iter().map(|strip| i32::try_from(strip.level).unwrap_or(i32::MAX)).collect();
    let tiles: Vec<i64> = strips.iter().map(|strip| i64::try_from(strip.tile).unwrap_or(i64::MAX)).collect();
    let starts: Vec<i32> = strips.iter().map(|strip| int4(strip.start)).collect();
    let salts: Vec<i32> = strips.iter().map(|strip| if strip.level == 0 { salt } else { 0 }).collect();
    let hashes: Vec<Vec<u8>> =
        strips.iter().map(|strip| strip.hashes.iter().flat_map(|hash| hash.0).collect()).collect();
    let args = [
        Arg::Int(journal.0),
        Arg::Int4s(&levels),
        Arg::Ints(&tiles),
        Arg::Int4s(&starts),
        Arg::Int4s(&salts),
        Arg::ByteArrays(&hashes),
    ];
    statement::<()>(TEXT, &args).execute(conn)?;
    Ok(())
}

/// A strip as it is kept.
pub(crate) struct StripRow {
    pub(crate) tile: i64,
    pub(crate) start: i32,
    pub(crate) salt: i32,
    pub(crate) hashes: Vec<Hash>,
}

type StripColumns = (BigInt, Integer, Integer, Binary);
type StripValues = (i64, i32, i32, Vec<u8>);

/// The strips of one tile, in order.
pub(crate) fn strips_of(
    conn: &mut PgConnection,
    journal: JournalId,
    level: u32,
    tile: u64,
) -> Result<Vec<StripRow>, StoreError> {
    const TEXT: &str = "SELECT tile, start, salt, hashes FROM journal.strip \
        WHERE journal = ? AND level = ? AND tile = ? ORDER BY start";
    let args = [Arg::Int(journal.0), level_arg(level), Arg::Int(i64::try_from(tile).unwrap_or(i64::MAX))];
    read_strips(statement::<StripColumns>(TEXT, &args).load::<StripValues>(conn)?)
}

/// The next strips of a level after one of them, in order.
pub(crate) fn strips_after(
    conn: &mut PgConnection,
    journal: JournalId,
    level: u32,
    (tile, start): (i64, i32),
    most: i64,
) -> Result<Vec<StripRow>, StoreError> {
    const TEXT: &str = "SELECT tile, start, salt, hashes FROM journal.strip \
        WHERE journal = ? AND level = ? AND (tile, start) > (?, ?) ORDER BY tile, start LIMIT ?";
    let args = [Arg::Int(journal.0), level_arg(level), Arg::Int(tile), Arg::Int4(start), Arg::Int(most)];
    read_strips(statement::<StripColumns>(TEXT, &args).load::<StripValues>(conn)?)
}

fn level_arg(level: u32) -> Arg<'static> {
    Arg::Int4(i32::try_from(level).unwrap_or(i32::MAX))
}

fn read_strips(rows: Vec<StripValues>) -> Result<Vec<StripRow>, StoreError> {
    let read = |(tile, start, salt, bytes): StripValues| {
        let hashes = bytes.chunks(32).map(Hash::from_slice).collect::<Option<Vec<_>>>();
        let corrupt = StoreError::Corrupt { journal: 0, seq: tile.saturating_mul(256), what: "a strip of hashes" };
        Ok(StripRow { tile, start, salt, hashes: hashes.ok_or(corrupt)? })
    };
    rows.into_iter().map(read).collect()
}

/// The entries of a tile so far.
///
/// # Errors
/// [`StoreError::Corrupt`] when its strips do not follow each other.
pub(crate) fn tile(
    conn: &mut PgConnection,
    journal: JournalId,
    level: u32,
    tile: u64,
) -> Result<Vec<Hash>, StoreError> {
    let mut entries = Vec::new();
    for strip in strips_of(conn, journal, level, tile)? {
        if usize::try_from(strip.start).ok() != Some(entries.len()) {
            let seq = strip.tile.saturating_mul(256);
            return Err(StoreError::Corrupt { journal: journal.0, seq, what: "a tile of hashes has a gap" });
        }
        entries.extend(strip.hashes);
    }
    Ok(entries)
}

/// The edge of the tree of `size` leaves, of what is kept.
///
/// # Errors
/// [`StoreError::Corrupt`] when less is kept than there should be.
pub(crate) fn edge(conn: &mut PgConnection, journal: JournalId, size: u64) -> Result<Edge, StoreError> {
    let mut levels = Vec::new();
    for level in (0..).take(tiles::levels_of(size)) {
        let mut entries = tile(conn, journal, level, tiles::open_tile(size, level))?;
        entries.truncate(tiles::open_entries(size, level));
        levels.push(entries);
    }
    let seq = i64::try_from(size).unwrap_or(i64::MAX);
    Edge::of(size, levels).ok_or(StoreError::Corrupt { journal: journal.0, seq, what: "hashes of the log are missing" })
}

/// The version of the secret that salted the leaf of a seq, if it is sealed.
pub(super) fn salt_of(conn: &mut PgConnection, journal: JournalId, seq: i64) -> Result<Option<i32>, StoreError> {
    let index = seq.saturating_sub(1);
    let place = index.rem_euclid(256);
    let strips = strips_of(conn, journal, 0, u64::try_from(index.div_euclid(256)).unwrap_or(u64::MAX))?;
    let holds = |strip: &&StripRow| {
        let first = i64::from(strip.start);
        (first..first.saturating_add(i64::try_from(strip.hashes.len()).unwrap_or(0))).contains(&place)
    };
    Ok(strips.iter().find(holds).map(|strip| strip.salt))
}

type HeadColumns =
    (BigInt, SqlUuid, Binary, BigInt, BigInt, Integer, Binary, Nullable<Binary>, Binary, Nullable<Binary>);
type HeadValues = (i64, Uuid, Vec<u8>, i64, i64, i32, Vec<u8>, Option<Vec<u8>>, Vec<u8>, Option<Vec<u8>>);

/// Adds a head.
pub(super) fn add_head(conn: &mut PgConnection, signed: &SignedHead) -> Result<(), StoreError> {
    const TEXT: &str = "INSERT INTO journal.signed_head (journal, size, fork, root, recorded_us, signed_us, salt, key, \
        next_key, signature, next_signature) \
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, nullif(?, ''::bytea), ?, nullif(?, ''::bytea))";
    let SignedHead { head, signature, next_signature } = signed;
    let args = [
        Arg::Int(head.journal.0),
        Arg::Int(head.size),
        Arg::Uuid(head.fork),
        Arg::Bytes(&head.root.0),
        Arg::Int(head.recorded_us),
        Arg::Int(head.signed_us),
        Arg::Int4(head.salt),
        Arg::Bytes(&head.key.0),
        Arg::Bytes(head.next.as_ref().map_or(&[], |next| &next.0)),
        Arg::Bytes(signature),
        Arg::Bytes(next_signature.as_ref().map_or(&[], |signature| signature)),
    ];
    statement::<()>(TEXT, &args).execute(conn)?;
    Ok(())
}

/// The last head, if there is one.
///
/// # Errors
/// [`StoreError`].
pub fn last_head(conn: &mut PgConnection, journal: JournalId) -> Result<Option<SignedHead>, StoreError> {
    const TEXT: &str = "SELECT size, fork, root, recorded_us, signed_us, salt, key, next_key, signature, \
        next_signature FROM journal.signed_head WHERE journal = ? ORDER BY size DESC LIMIT 1";
    let rows = statement::<HeadColumns>(TEXT, &[Arg::Int(journal.0)]).load::<HeadValues>(conn)?;
    rows.into_iter().next().map(|row| read_head(journal, row)).transpose()
}

/// The next heads after a size, in order.
pub(crate) fn heads_after(
    conn: &mut PgConnection,
    journal: JournalId,
    size: i64,
    most: i64,
) -> Result<Vec<SignedHead>, StoreError> {
    const TEXT: &str = "SELECT size, fork, root, recorded_us, signed_us, salt, key, next_key, signature, \
        next_signature FROM journal.signed_head WHERE journal = ? AND size > ? ORDER BY size LIMIT ?";
    let args = [Arg::Int(journal.0), Arg::Int(size), Arg::Int(most)];
    let rows = statement::<HeadColumns>(TEXT, &args).load::<HeadValues>(conn)?;
    rows.into_iter().map(|row| read_head(journal, row)).collect()
}

/// The heads that rotated the keys, in order: what leads from a key that is trusted to the one in use.
///
/// # Errors
/// [`StoreError`].
pub fn rotations(conn: &mut PgConnection, journal: JournalId) -> Result<Vec<SignedHead>, StoreError> {
    const TEXT: &str = "SELECT size, fork, root, recorded_us, signed_us, salt, key, next_key, signature, \
        next_signature FROM journal.signed_head WHERE journal = ? AND next_key IS NOT NULL ORDER BY size";
    let rows = statement::<HeadColumns>(TEXT, &[Arg::Int(journal.0)]).load::<HeadValues>(conn)?;
    rows.into_iter().map(|row| read_head(journal, row)).collect()
}

fn read_head(journal: JournalId, row: HeadValues) -> Result<SignedHead, StoreError> {
    let (size, fork, root, recorded_us, signed_us, salt, key, next, signature, next_signature) = row;
    let corrupt = || StoreError::Corrupt { journal: journal.0, seq: size, what: "a signed head" };
    let array32 = |bytes: Vec<u8>| <[u8; 32]>::try_from(bytes).map_err(|_length| corrupt());
    let array64 = |bytes: Vec<u8>| <[u8; 64]>::try_from(bytes).map_err(|_length| corrupt());
    let head = Head {
        journal,
        fork,
        size,
        root: Hash(array32(root)?),
        recorded_us,
        signed_us,
        salt,
        key: KeyId(key.try_into().map_err(|_length| corrupt())?),
        next: next.map(array32).transpose()?.map(PublicKey),
    };
    let next_signature = next_signature.map(array64).transpose()?;
    Ok(SignedHead { head, signature: array64(signature)?, next_signature })
}

/// Notes which keys this node seals with, and tells the salt versions under which another secret was noted before.
pub(super) fn note_keys(
    conn: &mut PgConnection,
    journal: JournalId,
    keys: &[PublicKey],
    salts: &Salts,
) -> Result<Vec<i32>, StoreError> {
    const KEY: &str = "INSERT INTO journal.proof_key (journal, id, public) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
    const SALT: &str = "INSERT INTO journal.proof_key (journal, id, salt) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
    for key in keys {
        let args = [Arg::Int(journal.0), Arg::Bytes(&key.id().0), Arg::Bytes(&key.0)];
        statement::<()>(KEY, &args).execute(conn)?;
    }
    for salt in salts.all() {
        let id = salt.id();
        statement::<()>(SALT, &[Arg::Int(journal.0), Arg::Bytes(&id.0), Arg::Int4(salt.version())]).execute(conn)?;
    }
    other_salts(conn, journal, salts)
}

/// The versions of salt secrets whose name on record is not that of ours.
pub(crate) fn other_salts(conn: &mut PgConnection, journal: JournalId, salts: &Salts) -> Result<Vec<i32>, StoreError> {
    const TEXT: &str = "SELECT salt, id FROM journal.proof_key WHERE journal = ? AND salt IS NOT NULL ORDER BY salt";
    let noted = statement::<(Integer, Binary)>(TEXT, &[Arg::Int(journal.0)]).load::<(i32, Vec<u8>)>(conn)?;
    let is_ours = |version: i32, id: &[u8]| salts.of(version).is_some_and(|salt| salt.id().0 == id);
    Ok(noted.into_iter().filter(|(version, id)| !is_ours(*version, id)).map(|(version, _)| version).collect())
}

/// Bytes on disk of the log's tables and their indexes, of all journals.
///
/// # Errors
/// [`StoreError`].
pub fn bytes_of_log(conn: &mut PgConnection) -> Result<i64, StoreError> {
    const TEXT: &str = "SELECT pg_total_relation_size('journal.strip') + pg_total_relation_size('journal.signed_head')";
    let rows = statement::<(BigInt,)>(TEXT, &[]).load::<(i64,)>(conn)?;
    Ok(rows.first().map_or(0, |(bytes,)| *bytes))
}

/// The public keys on record.
///
/// # Errors
/// [`StoreError`]; a key that is not the one its name says is [`StoreError::Corrupt`].
pub fn public_keys(conn: &mut PgConnection, journal: JournalId) -> Result<Vec<PublicKey>, StoreError> {
    const TEXT: &str = "SELECT id, public FROM journal.proof_key WHERE journal = ? AND public IS NOT NULL ORDER BY id";
    let rows = statement::<(Binary, Binary)>(TEXT, &[Arg::Int(journal.0)]).load::<(Vec<u8>, Vec<u8>)>(conn)?;
    let corrupt = || StoreError::Corrupt { journal: journal.0, seq: 0, what: "a public key" };
    let read = |(id, public): (Vec<u8>, Vec<u8>)| {
        let key = PublicKey(public.try_into().map_err(|_length| corrupt())?);
        if key.id().0.as_slice() == id { Ok(key) } else { Err(corrupt()) }
    };
    rows.into_iter().map(read).collect()
}
