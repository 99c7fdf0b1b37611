//! Money at the edge: `{"amount":"1999","asset":"EUR"}`, whole minor units in a string, never a JSON number.

use ledger::MAX_AMOUNT;
use serde::{Deserialize, Serialize};

use utoipa::openapi::schema::{AdditionalProperties, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::fields::field;
use super::problem::Problem;

/// The asset of money so far.
pub const EUR: &str = "EUR";

/// An amount as the API writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Whole minor units, as digits: `1999` of `EUR` is 19.99 euro.
    #[schema(example = "1999", pattern = "^-?[0-9]{1,19}$")]
    pub amount: String,
    /// What of: `EUR`, or the points of a programme, `PTS:club`.
    #[schema(example = "EUR")]
    pub asset: String,
}

impl Money {
    /// `minor` units of `asset`.
    #[must_use]
    pub fn new(minor: i64, asset: &str) -> Self {
        Self { amount: minor.to_string(), asset: asset.to_owned() }
    }

    /// The minor units of an amount a person asks to move: digits only, 1 to 10^15.
    ///
    /// # Errors
    /// 422 `body-invalid` at `<pointer>/amount`.
    pub fn positive(&self, pointer: &str) -> Result<i64, Problem> {
        let plain =
            !self.amount.is_empty() && self.amount.bytes().all(|b| b.is_ascii_digit()) && !self.amount.starts_with('0');
        let minor = self.amount.parse().ok().filter(|minor| plain && (1..=MAX_AMOUNT).contains(minor));
        minor.ok_or_else(|| field(format!("{pointer}/amount"), "Whole minor units as digits, from 1 to 10^15."))
    }

    /// The same, of euro.
    ///
    /// # Errors
    /// As [`Money::positive`], and at `<pointer>/asset` for another asset.
    pub fn positive_eur(&self, pointer: &str) -> Result<i64, Problem> {
        if self.asset != EUR {
            return Err(field(format!("{pointer}/asset"), "Only EUR can be paid so far."));
        }
        self.positive(pointer)
    }
}

/// How the API's document tells of a [`Money`] that somebody asks to move: what [`Money::positive`] takes.
#[derive(Debug)]
pub enum ToMove {}

/// The same of what [`Money::positive_eur`] takes.
#[derive(Debug)]
pub enum EuroToMove {}

impl ToSchema for ToMove {}
impl ToSchema for EuroToMove {}

impl PartialSchema for ToMove {
    fn schema() -> RefOr<Schema> {
        to_move(string().description(Some("What of: `EUR`, or the points of a programme, `PTS:club`.")))
    }
}

impl PartialSchema for EuroToMove {
    fn schema() -> RefOr<Schema> {
        to_move(string().enum_values(Some([EUR])))
    }
}

fn to_move(asset: ObjectBuilder) -> RefOr<Schema> {
    let digits = string().pattern(Some("^([1-9][0-9]{0,14}|10{15})$")).examples(["1999"]);
    let amount =
        digits.description(Some("Whole minor units, as digits, from 1 to 10^15: `1999` of `EUR` is 19.99 euro."));
    let object = ObjectBuilder::new().schema_type(Type::Object).description(Some("An amount to move."));
    let object = object.property("amount", amount).required("amount");
    let object = object.property("asset", asset.examples([EUR])).required("asset");
    object.additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false))).into()
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}
