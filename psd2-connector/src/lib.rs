//! Reads banks' accounts through their PSD2 interface, with the customer's consent.
//!
//! The connector is the client side of open banking: strict in what it sends, lenient in what it takes. It knows banks,
//! consents and statements; it knows no wallet, no customer and no journal, and it opens no database.
//!
//! Promise: a value of one of its types has passed its standard's checks, and what is personal in it does not show in
//! `Debug`.
//!
//! Present so far: the [`Iban`]. Absent so far: everything else, that is consents, accounts and transactions (Berlin
//! Group XS2A), signing, bank profiles, statements (camt, MT940, CSV) and enrichment.

pub mod iban;

pub use crate::iban::{Iban, IbanError, ItalianBban};
