//! Asking: what a person wants to pay is kept, and put to them or exempted.

use diesel::PgConnection;
use ledger::{JournalError, Key};

use super::model::{Agreed, Agreement, Intended, Offered, Own, OwnWish};
use super::{POST_FOR, caution, scope_of, store};
use crate::identity::passkeys::RelyingParty;
use crate::identity::sca::exemption::{self, Candidate, Decision};
use crate::identity::sca::{self, Offer, OfferError, Payer};
use crate::payments::Payments;
use crate::platform::ids::Ids;
use crate::platform::keyring::{Person, Tenant};
use crate::platform::money::EUR;
use crate::platform::problem::{Describe, Problem};
use crate::platform::webauthn::Instrument;

/// What the browser's payment dialogue shows beside the wallet's name: a picture in the address itself, so that nothing has to
/// be fetched.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'%3E%3Crect width='8' \
    height='8' rx='1' fill='%23246'/%3E%3C/svg%3E";

/// What came of asking.
enum Asked {
    /// It waits for its payer.
    Offered(Box<Intended>, Box<Offer>),
    /// It needs no approval, or has one: it is to be posted.
    Agreed(Box<Intended>),
    /// Its day is over, and nobody approved it.
    Over(Box<Intended>),
}

impl Payments {
    /// Keeps what a person wants to pay and puts it to them; what an exemption covers is posted at once. The same key leads to the
    /// same payment: to its offer, to a new one where that was answered wrongly or is late, or to what became of it.
    ///
    /// # Errors
    /// 404 for an unknown merchant, 403 `no-passkey`, `caution`, 422 `approval-impossible`, `key-reused`; of what is posted at once the journal's.
    #[tracing::instrument(name = "payments.intend", skip_all, fields(tenant = tenant.id))]
    pub async fn intend(
        &self,
        tenant: &Tenant,
        person: Person,
        key: Key,
        wish: &OwnWish,
    ) -> Result<(Own, Option<Offered>), Problem> {
        let new = self.intended(tenant, person, key, wish).await?;
        let (ids, now, instrument) = (self.platform.ids.clone(), self.platform.clock.now(), instrument(tenant));
        let (payer, today) = (Payer { tenant: tenant.id, person: person.id }, new.execution_date);
        let shown = instrument.clone();
        let ask = move |conn: &mut PgConnection| -> Result<Asked, Problem> {
            store::insert(conn, payer.tenant, &new)?;
            let asked = store::lock_asked(conn, payer.tenant, payer.person, new.request.0)?;
            let asked = asked.ok_or(diesel::result::Error::NotFound)?;
            if asked.request != new.request {
                return Err(JournalError::KeyReused.describe());
            }
            if asked.agreement.is_some() {
                return Ok(Asked::Agreed(Box::new(asked)));
            }
            if let Some(offer) = still_offered(conn, now, payer, &asked)? {
                return Ok(Asked::Offered(Box::new(asked), Box::new(offer)));
            }
            if asked.execution_date != today {
                return Ok(Asked::Over(Box::new(asked)));
            }
            settle_or_offer(conn, &ids, now, payer, asked, &shown)
        };
        match self.platform.db.of(tenant.id).write(ask).await? {
            Asked::Agreed(intended) => Ok((self.post_agreed(tenant, scope_of(person), *intended).await?, None)),
            Asked::Over(intended) => Ok((self.standing(tenant, scope_of(person), *intended).await?, None)),
            Asked::Offered(intended, offer) => {
                let earns = self.quote(tenant, intended.merchant, intended.amount_minor).await?;
                let own = self.standing(tenant, scope_of(person), *intended).await?;
                Ok((own, Some(Offered { offer: *offer, instrument, earns })))
            }
        }
    }

    async fn intended(&self, tenant: &Tenant, person: Person, key: Key, wish: &OwnWish) -> Result<Intended, Problem> {
        self.customers.secret(&self.platform, tenant.id, person.id).await?;
        let merchant = self.merchants.get(&self.platform, tenant.id, wish.merchant).await?;
        let config = self.programmes.config(&self.platform, tenant.id).await?;
        Ok(Intended {
            id: self.platform.ids.uuid_v7(self.platform.clock.now()),
            person: person.id,
            request: (key.key, key.fingerprint),
            merchant: wish.merchant,
            payee_name: merchant.name,
            amount_minor: wish.amount_minor,
            reference: wish.reference.clone(),
            asked_at: self.now(&config),
            execution_date: self.today(tenant, &config),
            offer: None,
            agreement: None,
        })
    }
}

fn still_offered(
    conn: &mut PgConnection,
    now: chrono::DateTime<chrono::Utc>,
    payer: Payer,
    asked: &Intended,
) -> diesel::QueryResult<Option<Offer>> {
    match asked.offer {
        Some((offer, _)) => sca::still_offered(conn, now, payer, offer),
        None => Ok(None),
    }
}

/// Takes an exemption where the tenant's rule has one, else puts the payment to its payer.
fn settle_or_offer(
    conn: &mut PgConnection,
    ids: &Ids,
    now: chrono::DateTime<chrono::Utc>,
    payer: Payer,
    asked: Intended,
    instrument: &Instrument,
) -> Result<Asked, Problem> {
    let intent = asked.intent(payer.tenant);
    // What cannot be shown to its payer is not paid behind their back either.
    intent.check().map_err(OfferError::from).map_err(|fault| fault.describe())?;
    caution::allows(conn, now, (payer.tenant, payer.person), asked.amount_minor)?;
    let candidate = Candidate {
        payment_id: asked.id,
        payer_account: intent.payer_account,
        amount_minor: asked.amount_minor,
        currency: EUR,
    };
    if let Decision::Exempt(article) = exemption::take(conn, payer.tenant, &candidate, now)? {
        let agreement = Agreement { how: Agreed::Exempt(article), at: now, post_until: now + POST_FOR };
        store::set_agreement(conn, payer.tenant, asked.id, &agreement)?;
        return Ok(Asked::Agreed(Box::new(Intended { agreement: Some(agreement), ..asked })));
    }
    let offer = sca::offer(conn, ids, now, payer, &intent, Some(instrument)).map_err(|error| error.describe())?;
    let made = (offer.id, offer.expires_at);
    store::set_offer(conn, payer.tenant, asked.id, made)?;
    Ok(Asked::Offered(Box::new(Intended { offer: Some(made), ..asked }), Box::new(offer)))
}

/// Where the money comes from, as the browser's payment dialogue shows it.
fn instrument(tenant: &Tenant) -> Instrument {
    Instrument { display_name: tenant.name.clone(), icon: ICON.to_owned() }
}

impl Offered {
    /// Options for the browser: by the passkey on a page of ours, and by its own payment dialogue.
    #[must_use]
    pub fn options(&self, party: &RelyingParty) -> (serde_json::Value, serde_json::Value) {
        (self.offer.passkey_options(party), self.offer.confirmation_request(party, &self.instrument))
    }
}
