//! The evidence of a person's own payment, as a file to take along.

use actix_web::{HttpResponse, get, web};
use diesel::PgConnection;
use ledger::proof::{OpenedMeta, Receipt};
use ledger::sealing;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::{NotSealedYet, head_for, no_secret, not_sealed_yet};
use crate::identity::Doors;
use crate::identity::sca::{self, Sealed};
use crate::payments::own::{Agreed, Agreement, Own, Stands};
use crate::payments::{Payments, customer_accounts};
use crate::platform::books::journal_of;
use crate::platform::http::not_found;
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::problem::Problem;
use crate::proofs::Proofs;
use crate::proofs::evidence::EvidenceFile;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(get_own_evidence);
}

/// Gives the evidence of a payment of one's own, as one file: that one approved it, and that the books say the same.
///
/// `tessera proof evidence` checks it offline, with the public key of the log. 202 says that the record is under no signed head yet;
/// 404 that the payment goes without approval.
#[utoipa::path(tag = "me", security(("key" = ["me:money"])), responses(
    (status = 200, body = EvidenceFile),
    (status = 202, body = NotSealedYet, description = "Committed, and not sealed yet"),
))]
#[get("/v1/me/payments/{id}/evidence", wrap = "May(Scope::MeMoney)")]
async fn get_own_evidence(
    caller: Caller,
    payments: web::Data<Payments>,
    proofs: web::Data<Proofs>,
    doors: web::Data<Doors>,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let (person, party, id) = (caller.person()?, doors.party()?, id.into_inner());
    let Own { intended, stands } = payments.own(&caller.tenant, person, id).await?;
    if matches!(intended.agreement, Some(Agreement { how: Agreed::Exempt(_), .. })) {
        return Err(not_found());
    }
    let seq = match stands {
        Stands::Paid(paid) => paid.answer.record.seq,
        Stands::Refused { seq, .. } => seq,
        Stands::Waiting | Stands::Expired | Stands::Agreed | Stands::Lapsed { .. } => return Err(not_posted()),
    };
    let accounts = customer_accounts(&payments, &caller, person.id).await?;
    let ring = proofs.keys.as_ref().ok_or_else(no_secret)?.ring();
    let (platform, journal) = (&payments.platform, journal_of(&caller.tenant));
    let keeper = Sealed { vault: platform.vault.clone(), now: platform.clock.now() };
    let read = move |conn: &mut PgConnection| -> Result<Option<(Vec<u8>, Receipt, OpenedMeta)>, Problem> {
        let evidence = sca::export_evidence(conn, journal.0, id, &keeper)?.ok_or_else(not_found)?;
        let Some(head) = head_for(conn, journal, seq, None)? else { return Ok(None) };
        let proved = sealing::receipt_with_meta(conn, &ring.salts, seq, &accounts, head)?;
        let (receipt, meta) = proved.ok_or_else(no_secret)?;
        Ok(Some((evidence.file, receipt, meta)))
    };
    let Some((evidence, receipt, meta)) = platform.db.of(journal.0).read(read).await? else {
        return Ok(not_sealed_yet(platform));
    };
    let file = EvidenceFile::of(party, evidence, &receipt, &meta).ok_or_else(not_found)?;
    Ok(HttpResponse::Ok().json(file))
}

fn not_posted() -> Problem {
    let detail = "There is evidence of what was paid or refused: approve the payment first.";
    Problem::new(409, "payment-not-posted", "The payment is not in the books", detail)
}
