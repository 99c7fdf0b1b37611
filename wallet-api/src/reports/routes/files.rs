//! Statements and trial balances as files.

use actix_web::web::Bytes;
use actix_web::{HttpResponse, get, web};
use chrono::{DateTime, Utc};
use futures_util::stream;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::{file_answer, head_of, source, when};
use crate::platform::Platform;
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::problem::Problem;
use crate::platform::text::Lang;
use crate::profile::AccountLook;
use crate::reports::form::Form;
use crate::reports::sheets::{self, File, TRIAL_BALANCE};
use crate::reports::statement::StatementFile;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(get_statement_file).service(get_trial_balance_file);
}

/// A file's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum FileForm {
    /// Comma-separated values.
    #[default]
    Csv,
    /// A workbook.
    Xlsx,
}

impl From<FileForm> for Form {
    fn from(form: FileForm) -> Self {
        match form {
            FileForm::Csv => Self::Csv,
            FileForm::Xlsx => Self::Xlsx,
        }
    }
}

/// Which statement, in which form.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StatementFileQuery {
    /// What was recorded from this moment on; absent, from the beginning.
    from: Option<DateTime<Utc>>,
    /// And before this one; absent, up to now.
    until: Option<DateTime<Utc>>,
    /// `csv` when absent.
    #[param(inline)]
    format: Option<FileForm>,
}

/// An account's statement as a file: closing balance, entries newest first, opening balance.
///
/// CSV comes as it is read, however long it is; a file that ends before its `opening` row was cut off.
#[utoipa::path(tag = "reports", security(("key" = ["ledger:read"])), params(StatementFileQuery), responses(
    (status = 200, content((String = "text/csv"),
        (Vec<u8> = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"))),
))]
#[get("/v1/ledger/accounts/{id}/statement/file", wrap = "May(Scope::LedgerRead)")]
async fn get_statement_file(
    caller: Caller,
    _told: AccountLook,
    platform: web::Data<Platform>,
    id: web::Path<Uuid>,
    query: web::Query<StatementFileQuery>,
    lang: Lang,
) -> Result<HttpResponse, Problem> {
    let (account, form) = (id.into_inner(), Form::from(query.format.unwrap_or_default()));
    let (from_us, until_us) =
        (query.from.map_or(i64::MIN, |at| at.timestamp_micros()), query.until.map(|at| at.timestamp_micros()));
    let mut file = StatementFile::new(source(&platform, &caller), account, (from_us, until_us), (form, lang)).await?;
    let name = format!("statement-{account}");
    if form == Form::Xlsx {
        let mut all = Vec::new();
        while let Some(bytes) = file.next().await? {
            all.extend(bytes);
        }
        return Ok(file_answer(form, &name, all));
    }
    // The first page before the answer begins: what is refused is still a refusal then.
    let first = file.next().await?.map(Bytes::from);
    let rest = stream::unfold((first, Some(file)), |(first, file)| async move {
        if let Some(first) = first {
            return Some((Ok(first), (None, file)));
        }
        let mut file = file?;
        match file.next().await {
            Ok(bytes) => bytes.map(|bytes| (Ok(Bytes::from(bytes)), (None, Some(file)))),
            Err(problem) => Some((Err(problem), (None, None))),
        }
    });
    Ok(head_of(form, &name).streaming(rest))
}

/// At which time, in which form.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TrialBalanceFileQuery {
    /// After the record of this seq, and before the next.
    #[param(minimum = 0)]
    seq: Option<i64>,
    /// After everything that was recorded up to this moment; absent, with `seq`, is now.
    recorded_at: Option<DateTime<Utc>>,
    /// `csv` when absent.
    #[param(inline)]
    format: Option<FileForm>,
}

/// The trial balance at some time as a file, asset by asset.
#[utoipa::path(tag = "reports", security(("key" = ["ledger:read"])), params(TrialBalanceFileQuery), responses(
    (status = 200, content((String = "text/csv"),
        (Vec<u8> = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"))),
))]
#[get("/v1/ledger/trial-balance/file", wrap = "May(Scope::LedgerRead)")]
async fn get_trial_balance_file(
    caller: Caller,
    platform: web::Data<Platform>,
    query: web::Query<TrialBalanceFileQuery>,
    lang: Lang,
) -> Result<HttpResponse, Problem> {
    let (source, form) = (source(&platform, &caller), Form::from(query.format.unwrap_or_default()));
    let found = source.trial_balance(when(query.seq, query.recorded_at)?).await?;
    let mut file = File::new(form, &TRIAL_BALANCE, lang)?;
    sheets::trial_balance(&mut file, &found, &source.assets().await?)?;
    Ok(file_answer(form, &format!("trial-balance-{}", found.seq), file.finish()?))
}
