//! Why an answer was refused.

/// What is wrong with a response. For logs and tests: whoever sent it is told one thing for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It cannot be read.
    #[error("the response is not of the form it must have")]
    Malformed,
    /// A part is longer than any that is honest.
    #[error("a part of the response is too long")]
    TooLong,
    /// It is of another ceremony.
    #[error("the response is of another ceremony")]
    Ceremony,
    /// It answers another challenge.
    #[error("the response answers another challenge")]
    Challenge,
    /// It was made on a page that is not ours.
    #[error("the response was made for another origin")]
    Origin,
    /// It was made in a frame of another site's page.
    #[error("the response was made across origins")]
    CrossOrigin,
    /// It was made for another relying party.
    #[error("the response was made for another relying party")]
    RpId,
    /// Nobody touched the authenticator.
    #[error("the user was not present")]
    UserAbsent,
    /// The authenticator did not verify who touched it.
    #[error("the user was not verified")]
    UserUnverified,
    /// Its backup flags contradict each other or what is on file.
    #[error("the backup flags contradict what is known")]
    Backup,
    /// The key is of a kind we do not take.
    #[error("the key's algorithm is not one of ours")]
    Algorithm,
    /// The signature is not the credential's.
    #[error("the signature does not verify")]
    Signature,
    /// The signature counter went back or stood still: there may be a second copy of the key.
    #[error("the signature counter did not go forward")]
    CounterBack,
    /// It is of another credential than it says, or of none that may be used.
    #[error("the credential is not one that may be used here")]
    Credential,
    /// The payment that was confirmed is not the payment that is asked for.
    #[error("the payment shown is another one")]
    Payment,
}
