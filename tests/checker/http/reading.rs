//! What the API's JSON says, member by member, in the crate's own words.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use ledger::read::{AssetTotal, Balance, HoldStanding, TrialBalance};
use ledger::{AccountId, Amount, AssetId, LegRef, NEVER};
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::town;

/// Or what is wrong with what was told.
pub type Or<T> = Result<T, String>;

pub fn int(value: &Value) -> Or<i64> {
    let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
    number.ok_or_else(|| format!("{value} is no number"))
}

pub fn uuid(value: &Value) -> Or<Uuid> {
    value.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| format!("{value} is no id"))
}

pub fn micros(value: &Value) -> Or<i64> {
    let moment = value.as_str().and_then(|text| text.parse::<DateTime<Utc>>().ok());
    moment.map(|moment| moment.timestamp_micros()).ok_or_else(|| format!("{value} is no time"))
}

pub fn asset(code: &Value) -> Or<AssetId> {
    let found = town::assets().into_iter().find(|(_, (known, _))| code == known).map(|(asset, _)| asset);
    found.ok_or_else(|| format!("{code} is no asset"))
}

pub fn money(value: &Value) -> Or<(i64, AssetId)> {
    Ok((int(&value["amount"])?, asset(&value["asset"])?))
}

pub fn balance(account: Uuid, body: &Value) -> Or<Balance> {
    let (balance, held) = (int(&body["balance"])?, int(&body["held"])?);
    if int(&body["available"])? != balance - held || body["id"] != json!(account) {
        return Err("balance less held is not available".to_owned());
    }
    Ok(Balance {
        account: AccountId(int(&body["opened_seq"])?),
        public_id: account,
        asset: asset(&body["asset"])?,
        balance,
        held,
        version: int(&body["version"])?,
        pending: 0,
        keeps: body["keeps"].is_object(),
        floor: Some(&body["floor"]).filter(|floor| !floor.is_null()).map(int).transpose()?,
        debits_frozen: body["debits_frozen"] == true,
    })
}

pub fn hold(place: LegRef, body: &Value) -> Or<HoldStanding> {
    let ((minor, asset), captured) = (money(&body["amount"])?, money(&body["captured"])?.0);
    let (given_back, remaining) = (money(&body["given_back"])?.0, money(&body["remaining"])?.0);
    if captured + given_back + remaining != minor || given_back < 0 {
        return Err("the parts of a hold are not the whole".to_owned());
    }
    Ok(HoldStanding {
        place,
        transaction: uuid(&body["transaction"])?,
        recorded_us: micros(&body["recorded_at"])?,
        debit: uuid(&body["debit"])?,
        credit: uuid(&body["credit"])?,
        amount: Amount::new(minor, asset),
        captured,
        remaining,
        expires_us: if body["expires_at"].is_null() { NEVER } else { micros(&body["expires_at"])? },
        expired: body["status"] == "expired",
    })
}

pub fn trial(body: &Value) -> Or<TrialBalance> {
    let total = |one: &Value| {
        let sum = |name: &str| int(&one[name]).map(i128::from);
        let accounts = u64::try_from(int(&one["accounts"])?).map_err(|error| error.to_string())?;
        Ok((asset(&one["asset"])?, AssetTotal { accounts, debits: sum("debits")?, credits: sum("credits")? }))
    };
    let assets = body["assets"].as_array().ok_or("no assets")?.iter().map(total).collect::<Or<_>>()?;
    Ok(TrialBalance { seq: int(&body["seq"])?, assets })
}

pub fn totals(body: &Value) -> Or<BTreeMap<AssetId, (i64, i128, i128, i128)>> {
    let total = |one: &Value| {
        let sum = |name: &str| int(&one[name]).map(i128::from);
        Ok((asset(&one["asset"])?, (int(&one["accounts"])?, sum("above_zero")?, sum("below_zero")?, sum("held")?)))
    };
    body["totals"].as_array().ok_or("no totals")?.iter().map(total).collect()
}
