//! Passwords: how they are kept, and how one that is said is compared, so that nobody can wear a node out with it.
//!
//! A password is what an operator falls back on, never what a customer has. It is kept as Argon2id with the parameters
//! that OWASP ASVS 5.0 (appendix C) asks for at the least, and its salt; a comparison costs the same whether or not there is
//! anything to compare with. Promise: hashes are computed one at a time, and at most [`PLACES`] wait for their turn; whoever
//! comes beyond is told at once to come back ([`PasswordError::Busy`]). So two hundred attempts cost a node what nine do,
//! and those come after whatever serves.
//! Not here: who has a password, how often one may be tried (identity), lists of passwords that leaked.

use std::sync::{Arc, OnceLock};

use argon2::password_hash::{PasswordHash, SaltString};
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, oneshot};
use zeroize::Zeroizing;

use crate::platform::ids::Ids;
use crate::platform::problem::{Describe, Problem};

/// Attempts that may wait while one is computed.
pub const PLACES: usize = 8;
/// Fewest characters of a new password (ASVS 5.0, 6.2.1: eight at the least, fifteen advised).
pub const FEWEST: usize = 15;
/// Most characters (6.2.9: sixty-four must be possible), so that nobody has us hash a book.
pub const MOST: usize = 128;
/// Different characters that a new one has at the least: `aaaaaaaaaaaaaaa` is long and no password.
const VARIETY: usize = 5;

/// By how much a hash comes after what serves: a tenth of its share, so that payments do not wait for guesses, and a right
/// password is looked at within a second all the same.
const NICE: i32 = 10;

/// Memory in KiB, passes, lanes.
const COST: (u32, u32, u32) = (19_456, 2, 1);

/// A password that was said. Not shown, and wiped from memory after use.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// One that is said to come in: any, as long as it may be.
    ///
    /// # Errors
    /// [`PasswordError::TooLong`].
    pub fn said(text: String) -> Result<Self, PasswordError> {
        let text = Zeroizing::new(text);
        if text.chars().count() > MOST { Err(PasswordError::TooLong) } else { Ok(Self(text)) }
    }

    /// One that is to be kept: long, and not of a few characters.
    ///
    /// # Errors
    /// [`PasswordError::TooLong`], [`PasswordError::Weak`].
    pub fn chosen(text: String) -> Result<Self, PasswordError> {
        let chosen = Self::said(text)?;
        let mut letters: Vec<char> = chosen.0.chars().collect();
        let is_long = letters.len() >= FEWEST;
        letters.sort_unstable();
        letters.dedup();
        if is_long && letters.len() >= VARIETY { Ok(chosen) } else { Err(PasswordError::Weak) }
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(..)")
    }
}

/// A password as it is kept: a PHC string, with algorithm, parameters and salt in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Kept(String);

impl Kept {
    /// As it lies in a table.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text to keep.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kept(..)")
    }
}

/// Why a password was not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// It is too short, or of too few characters.
    #[error("the password is too weak")]
    Weak,
    /// Nothing as long is a password.
    #[error("the password is too long")]
    TooLong,
    /// Too many wait already.
    #[error("too many passwords wait to be looked at")]
    Busy,
    /// It could not be computed, or what is kept is none.
    #[error("the password could not be looked at")]
    Broken,
}

impl Describe for PasswordError {
    fn describe(&self) -> Problem {
        match self {
            Self::Weak => {
                let remedy = "Choose at least fifteen characters; a few words in a row will do.";
                Problem::new(422, "password-weak", "The password is too weak", remedy)
            }
            Self::TooLong => {
                let remedy = "Choose at most 128 characters.";
                Problem::new(422, "password-too-long", "The password is too long", remedy)
            }
            Self::Busy => {
                let remedy = "Try again in a moment.";
                Problem::new(503, "overloaded", "Too much at once", remedy).retry_after(1)
            }
            Self::Broken => Problem::internal(self),
        }
    }
}

/// What looks at passwords; clones share its turn and its places.
#[derive(Clone)]
pub struct Passwords {
    ids: Ids,
    /// Whoever computes and whoever waits for it.
    places: Arc<Semaphore>,
    turn: Arc<Semaphore>,
    nobodys: Arc<OnceLock<Kept>>,
}

/// A place in the queue, which is given back with the value.
pub struct Place(#[expect(dead_code, reason = "held, and given back when dropped")] OwnedSemaphorePermit);

impl Passwords {
    /// Of a node: one is enough, since it is what limits.
    #[must_use]
    pub fn new(ids: &Ids) -> Self {
        let places = Arc::new(Semaphore::new(PLACES.saturating_add(1)));
        Self { ids: ids.clone(), places, turn: Arc::new(Semaphore::new(1)), nobodys: Arc::default() }
    }

    /// A place in the queue, for who has something to do before the password is looked at.
    ///
    /// # Errors
    /// [`PasswordError::Busy`].
    pub fn place(&self) -> Result<Place, PasswordError> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        place.map(Place).map_err(|error| match error {
            TryAcquireError::NoPermits => PasswordError::Busy,
            TryAcquireError::Closed => PasswordError::Broken,
        })
    }

    /// What to keep of a password.
    ///
    /// # Errors
    /// [`PasswordError::Busy`], [`PasswordError::Broken`].
    pub async fn keep(&self, password: Password) -> Result<Kept, PasswordError> {
        let ids = self.ids.clone();
        self.in_turn(self.place()?, move || hash(&ids, &password)).await
    }

    /// Whether this is the password that is kept. Where none is, it is not, after as long a time.
    ///
    /// # Errors
    /// [`PasswordError::Busy`]; [`PasswordError::Broken`] when what is kept is no PHC string.
    pub async fn is(&self, kept: Option<&Kept>, said: Password) -> Result<bool, PasswordError> {
        self.is_at(self.place()?, kept, said).await
    }

    /// The same for who has a place already.
    ///
    /// # Errors
    /// [`PasswordError::Broken`].
    pub async fn is_at(&self, place: Place, kept: Option<&Kept>, said: Password) -> Result<bool, PasswordError> {
        let (kept, nobodys, ids) = (kept.cloned(), Arc::clone(&self.nobodys), self.ids.clone());
        let look = move || -> Result<bool, PasswordError> {
            // Made at the first look, whoever is looked at, so that nobody's takes no longer than somebody's.
            let nobodys = match nobodys.get() {
                Some(made) => made.clone(),
                None => {
                    let made = hash(&ids, &Password(Zeroizing::new("nobody has this one".to_owned())))?;
                    nobodys.get_or_init(|| made).clone()
                }
            };
            let is_somebodys = kept.is_some();
            Ok(compare(&kept.unwrap_or(nobodys), &said)? && is_somebodys)
        };
        self.in_turn(place, look).await
    }

    /// One at a time, on a thread of its own, which has what those that serve leave of the CPU.
    async fn in_turn<T: Send + 'static>(
        &self,
        place: Place,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let turn = Arc::clone(&self.turn).acquire_owned().await;
        let turn = turn.map_err(|_closed: tokio::sync::AcquireError| PasswordError::Broken)?;
        let (tell, told) = oneshot::channel();
        // Both go with the work: who asked may be gone, and it is computed all the same.
        let work = move || {
            _ = rustix::process::nice(NICE); // a system that knows no such thing computes it as any other work
            let done = work();
            drop((turn, place));
            _ = tell.send(done);
        };
        std::thread::Builder::new().name("password".to_owned()).spawn(work).map_err(|_error| PasswordError::Broken)?;
        told.await.unwrap_or(Err(PasswordError::Broken))
    }
}

fn cost() -> Result<Argon2<'static>, PasswordError> {
    let (memory, passes, lanes) = COST;
    let params = Params::new(memory, passes, lanes, None).map_err(|_params: argon2::Error| PasswordError::Broken)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(ids: &Ids, password: &Password) -> Result<Kept, PasswordError> {
    let broken = |_error: argon2::password_hash::Error| PasswordError::Broken;
    let mut salt = [0; 16];
    ids.fill(&mut salt);
    let salt = SaltString::encode_b64(&salt).map_err(broken)?;
    let kept = cost()?.hash_password(password.0.as_bytes(), &salt).map_err(broken)?;
    Ok(Kept(kept.to_string()))
}

/// By the parameters that are kept with it.
fn compare(kept: &Kept, said: &Password) -> Result<bool, PasswordError> {
    let kept = PasswordHash::new(&kept.0).map_err(|_error: argon2::password_hash::Error| PasswordError::Broken)?;
    Ok(cost()?.verify_password(said.0.as_bytes(), &kept).is_ok())
}

#[cfg(test)]
mod tests;
