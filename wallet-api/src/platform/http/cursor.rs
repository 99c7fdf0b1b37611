//! Pages of a listing, by keyset: a cursor says after which row the next page begins.
//!
//! Cursors are opaque and signed under the tenant's secret for one listing: one that was forged, cut, or taken from
//! another tenant or listing is refused, so a cursor is never a way to ask for what its listing would not show. They do
//! not expire. Offsets are absent on purpose: they skip and repeat rows when rows arrive.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::platform::keyring::TenantSecret;
use crate::platform::problem::Problem;

/// First byte of every cursor; another one is another format.
const VERSION: u8 = 1;

/// Bytes of the tag at a cursor's end.
const TAG: usize = 16;

/// The sort key of the last row of a page: `N` integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor<const N: usize>(pub [i64; N]);

impl<const N: usize> Cursor<N> {
    /// The cursor as text. `listing` names the listing and whatever it is narrowed by, for example `statement:<account>`.
    #[must_use]
    pub fn encode(&self, secret: &TenantSecret, listing: &str) -> String {
        let mut bytes = vec![VERSION];
        for number in self.0 {
            bytes.extend(number.to_be_bytes());
        }
        let tag = tag(secret, listing, &bytes);
        bytes.extend(tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a cursor that [`encode`](Self::encode) made for the same tenant and listing.
    ///
    /// # Errors
    /// 400 `cursor-invalid` for anything else.
    pub fn decode(secret: &TenantSecret, listing: &str, text: &str) -> Result<Self, Problem> {
        Self::open(secret, listing, text).ok_or_else(|| {
            let remedy = "Use next_cursor of the page before, as it is, or leave it out to begin again.";
            Problem::new(400, "cursor-invalid", "The cursor is not from this listing", remedy)
        })
    }

    fn open(secret: &TenantSecret, listing: &str, text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (body, given) = bytes.split_at_checked(bytes.len().checked_sub(TAG)?)?;
        if !bool::from(tag(secret, listing, body).ct_eq(given)) {
            return None;
        }
        let (&VERSION, body) = body.split_first()? else { return None };
        let (numbers, []) = body.as_chunks::<8>() else { return None };
        let numbers: Vec<i64> = numbers.iter().map(|bytes| i64::from_be_bytes(*bytes)).collect();
        numbers.try_into().ok().map(Self)
    }
}

/// An id as two numbers of a cursor.
#[must_use]
pub const fn halves(id: Uuid) -> [i64; 2] {
    let (high, low) = id.as_u64_pair();
    [high.cast_signed(), low.cast_signed()]
}

/// The id whose [`halves`] these are.
#[must_use]
pub const fn whole([high, low]: [i64; 2]) -> Uuid {
    Uuid::from_u64_pair(high.cast_unsigned(), low.cast_unsigned())
}

fn tag(secret: &TenantSecret, listing: &str, body: &[u8]) -> [u8; TAG] {
    secret.sign16("cursor", &[listing.as_bytes(), body])
}

/// Most rows of one page, and how many come when nobody says.
const MOST: u16 = 100;
const USUAL: u16 = 20;

/// `?cursor=…&limit=…`, for `web::Query`.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// `next_cursor` of the page before; none for the first page.
    pub cursor: Option<String>,
    /// Rows per page, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<u16>,
}

impl PageQuery {
    /// How many rows the page has at most.
    ///
    /// # Errors
    /// 400 `limit-invalid` outside 1 to 100.
    pub fn limit(&self) -> Result<u16, Problem> {
        let limit = self.limit.unwrap_or(USUAL);
        if (1..=MOST).contains(&limit) {
            return Ok(limit);
        }
        let detail = format!("Ask for 1 to {MOST} at a time.");
        Err(Problem::new(400, "limit-invalid", "Pages have another size", detail).with("most", MOST))
    }
}

/// One page of a listing.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins; null on the last.
    pub next_cursor: Option<String>,
    /// Whether there is a next page.
    pub has_more: bool,
}

impl<T> Page<T> {
    /// A page of `limit` rows from the `limit + 1` that were asked for: the one too many only says that there is more.
    /// `cursor` makes the cursor of the page's last row.
    pub fn cut(rows: Vec<T>, limit: u16, cursor: impl FnOnce(&T) -> String) -> Self {
        Self::cut_short(rows, limit, false, cursor)
    }

    /// The same of rows that may be fewer though it `goes_on` after them.
    pub fn cut_short(mut rows: Vec<T>, limit: u16, goes_on: bool, cursor: impl FnOnce(&T) -> String) -> Self {
        let limit = usize::from(limit);
        let has_more = rows.len() > limit || (goes_on && !rows.is_empty());
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| has_more).map(cursor);
        Self { items: rows, next_cursor, has_more }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 32] = [7; 32];

    #[test]
    fn a_cursor_comes_back_as_it_went_and_only_where_it_came_from() {
        let (ours, theirs) = (TenantSecret::new(&SECRET), TenantSecret::new(&[8; 32]));
        let cursor = Cursor([i64::MIN, -1, i64::MAX]);
        let text = cursor.encode(&ours, "payments");
        assert_eq!(Cursor::decode(&ours, "payments", &text), Ok(cursor));
        assert!(Cursor::<3>::decode(&theirs, "payments", &text).is_err(), "another tenant");
        assert!(Cursor::<3>::decode(&ours, "refunds", &text).is_err(), "another listing");
        assert!(Cursor::<2>::decode(&ours, "payments", &text).is_err(), "another shape");
    }

    #[test]
    fn no_bit_of_a_cursor_can_be_changed_and_no_garbage_is_one() {
        let secret = TenantSecret::new(&SECRET);
        let bytes = URL_SAFE_NO_PAD.decode(Cursor([42]).encode(&secret, "l")).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut forged = bytes.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            let text = URL_SAFE_NO_PAD.encode(forged);
            assert_eq!(Cursor::<1>::decode(&secret, "l", &text).unwrap_err().code(), "cursor-invalid", "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(Cursor::<1>::decode(&secret, "l", &URL_SAFE_NO_PAD.encode(&bytes[..length])).is_err());
        }
        for garbage in ["", "!", "AQ==", "ààà"] {
            assert!(Cursor::<1>::decode(&secret, "l", garbage).is_err(), "{garbage}");
        }
    }

    #[test]
    fn the_row_too_many_says_that_there_is_more_and_is_not_shown() {
        let last = |row: &i32| row.to_string();
        let page = Page::cut(vec![1, 2, 3], 2, last);
        assert_eq!((page.items, page.next_cursor.as_deref(), page.has_more), (vec![1, 2], Some("2"), true));
        let page = Page::cut(vec![1, 2], 2, last);
        assert_eq!((page.items, page.next_cursor, page.has_more), (vec![1, 2], None, false));
        assert!(Page::cut(Vec::<i32>::new(), 2, last).items.is_empty());
    }

    #[test]
    fn a_page_has_1_to_100_rows() {
        let limit = |limit| PageQuery { limit, cursor: None }.limit().ok();
        assert_eq!([limit(None), limit(Some(1)), limit(Some(100))], [Some(20), Some(1), Some(100)]);
        assert_eq!([limit(Some(0)), limit(Some(101))], [None, None]);
    }
}
