//! What the files of reports say, row by row.
//!
//! A file has one table, so what is added up stands in it: each row has a sort. Of a liability, `lots` less `debt` is
//! `balance`, asset by asset; of a roll-forward, each row adds up by itself and `total` is what its rows are together.

use ledger::AssetId;
use ledger::read::{Entry, Statement, TrialBalance, Window};

use super::form::{Cell, CsvFile, Form, FormError, Heading, XlsxFile};
use super::liability::Liability;
use super::roll_forward::RollForward;
use super::value::Value;
use crate::books::Assets;
use crate::platform::text::Lang;

/// Of [`liability`].
pub const LIABILITY: Heading = Heading {
    name: "report-liability",
    columns: &[
        "report-col-seq",
        "report-col-sort",
        "report-col-asset",
        "report-col-earned",
        "report-col-ends",
        "report-col-campaign",
        "report-col-units",
        "report-col-cost-millionths",
    ],
};

/// Of [`roll_forward`].
pub const ROLL_FORWARD: Heading = Heading {
    name: "report-roll-forward",
    columns: &[
        "report-col-sort",
        "report-col-asset",
        "report-col-campaign",
        "report-col-opening",
        "report-col-earned-units",
        "report-col-restored",
        "report-col-received",
        "report-col-burned",
        "report-col-expired",
        "report-col-clawed-back",
        "report-col-sent",
        "report-col-offset",
        "report-col-closing",
    ],
};

/// Of [`value`].
pub const VALUE: Heading = Heading {
    name: "report-value",
    columns: &[
        "report-col-seq",
        "report-col-asset",
        "report-col-issued",
        "report-col-used",
        "report-col-expected",
        "report-col-points-price",
        "report-col-goods-share",
        "report-col-points-share",
        "report-col-recognised",
        "report-col-revenue",
        "report-col-liability",
    ],
};

/// Of [`statement`].
pub const STATEMENT: Heading = Heading {
    name: "report-statement",
    columns: &[
        "report-col-sort",
        "report-col-seq",
        "report-col-leg",
        "report-col-transaction",
        "report-col-recorded",
        "report-col-effective",
        "report-col-other",
        "report-col-asset",
        "report-col-change",
        "report-col-balance",
    ],
};

/// Of [`trial_balance`].
pub const TRIAL_BALANCE: Heading = Heading {
    name: "report-trial-balance",
    columns: &[
        "report-col-seq",
        "report-col-asset",
        "report-col-accounts",
        "report-col-debits",
        "report-col-credits",
        "report-col-difference",
    ],
};

/// Rows on their way into a file.
pub enum File {
    /// Sent piece by piece.
    Csv(Box<CsvFile>),
    /// Sent when it is whole.
    Xlsx(Box<XlsxFile>),
}

impl File {
    /// A table with its headings.
    ///
    /// # Errors
    /// [`FormError`].
    pub fn new(form: Form, heading: &Heading, lang: Lang) -> Result<Self, FormError> {
        Ok(match form {
            Form::Csv => Self::Csv(Box::new(CsvFile::new(heading, lang)?)),
            Form::Xlsx => Self::Xlsx(Box::new(XlsxFile::new(heading, lang)?)),
        })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// [`FormError`].
    pub fn row(&mut self, cells: &[Cell]) -> Result<(), FormError> {
        match self {
            Self::Csv(file) => file.row(cells),
            Self::Xlsx(file) => file.row(cells),
        }
    }

    /// What can be sent already.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        match self {
            Self::Csv(file) => file.take(),
            Self::Xlsx(_) => Vec::new(),
        }
    }

    /// The rest.
    ///
    /// # Errors
    /// [`FormError`].
    pub fn finish(self) -> Result<Vec<u8>, FormError> {
        match self {
            Self::Csv(mut file) => Ok(file.take()),
            Self::Xlsx(file) => file.finish(),
        }
    }
}

/// Unspent units, and under them what is owed and what the accounts stand at.
///
/// # Errors
/// [`FormError`].
pub fn liability(file: &mut File, liability: &Liability, assets: &Assets) -> Result<(), FormError> {
    let seq = Cell::Whole(i128::from(liability.seq));
    let sum = |sort: &str, asset: &AssetId, units: i128| {
        let none = || Cell::Empty;
        [seq.clone(), sort.into(), assets.code(*asset).into(), none(), none(), none(), Cell::Whole(units), none()]
    };
    for (group, units) in liability.groups.iter() {
        file.row(&[
            seq.clone(),
            "lots".into(),
            assets.code(group.asset).into(),
            Cell::Text(group.earned.to_string()),
            Cell::Text(group.ends.to_string()),
            Cell::Text(group.campaign.to_string()),
            Cell::Whole(units.minor),
            Cell::Whole(units.cost_millionths),
        ])?;
    }
    for (asset, check) in &liability.checks {
        file.row(&sum("debt", asset, check.accounts.debt.saturating_neg()))?;
        file.row(&sum("balance", asset, check.accounts.balance))?;
    }
    Ok(())
}

/// Campaign by campaign, and then what accounts owed.
///
/// # Errors
/// [`FormError`].
pub fn roll_forward(file: &mut File, report: &RollForward, assets: &Assets) -> Result<(), FormError> {
    for line in &report.lines {
        let mut cells = vec!["lots".into(), assets.code(line.asset).into(), Cell::Text(line.campaign.to_string())];
        cells.push(Cell::Whole(line.opening));
        cells.extend(line.flows.map(Cell::Whole));
        cells.push(Cell::Whole(line.closing));
        file.row(&cells)?;
    }
    for line in report.totals() {
        let mut cells = vec!["total".into(), assets.code(line.asset).into(), Cell::Empty, Cell::Whole(line.opening)];
        cells.extend(line.flows.map(Cell::Whole));
        cells.push(Cell::Whole(line.closing));
        file.row(&cells)?;
    }
    for line in &report.debts {
        // Below zero, so that rows are added up alike: what was repaid came with earnings, what is owed was taken back.
        let zero = || Cell::Whole(0);
        file.row(&[
            "debt".into(),
            assets.code(line.asset).into(),
            Cell::Empty,
            Cell::Whole(line.opening.saturating_neg()),
            Cell::Whole(line.repaid),
            zero(),
            zero(),
            zero(),
            zero(),
            Cell::Whole(line.incurred),
            zero(),
            zero(),
            Cell::Whole(line.closing.saturating_neg()),
        ])?;
    }
    Ok(())
}

/// One row: what an asset's points are worth after the record of a seq.
///
/// # Errors
/// [`FormError`].
pub fn value(file: &mut File, seq: i64, asset: &str, value: &Value) -> Result<(), FormError> {
    file.row(&[
        Cell::Whole(i128::from(seq)),
        asset.into(),
        Cell::Whole(value.issued),
        Cell::Whole(value.used),
        Cell::Whole(value.expected),
        Cell::Whole(value.points_price),
        Cell::Whole(value.shares.goods),
        Cell::Whole(value.shares.points),
        Cell::Whole(value.recognised),
        Cell::Whole(value.revenue),
        Cell::Whole(value.liability),
    ])
}

/// The line of an account's balance before or after its entries.
///
/// # Errors
/// [`FormError`].
pub fn statement_end(
    file: &mut File,
    sort: &str,
    page: &Statement,
    window: Window,
    assets: &Assets,
) -> Result<(), FormError> {
    let (seq, balance) = match sort {
        "opening" => (window.after, page.opening),
        _ => (window.upto, page.closing),
    };
    let none = || Cell::Empty;
    let (asset, balance) = (assets.code(page.asset).into(), Cell::Whole(i128::from(balance)));
    file.row(&[
        sort.into(),
        Cell::Whole(i128::from(seq)),
        none(),
        none(),
        none(),
        none(),
        none(),
        asset,
        none(),
        balance,
    ])
}

/// A page of an account's entries, newest first.
///
/// # Errors
/// [`FormError`].
pub fn statement(file: &mut File, entries: &[Entry], asset: &str) -> Result<(), FormError> {
    for entry in entries {
        file.row(&[
            "entry".into(),
            Cell::Whole(i128::from(entry.seq)),
            Cell::Whole(i128::from(entry.leg)),
            Cell::Text(entry.transaction.to_string()),
            Cell::Moment(entry.recorded_us),
            Cell::Moment(entry.effective_us),
            Cell::Text(entry.other.to_string()),
            asset.into(),
            Cell::Whole(i128::from(entry.change)),
            Cell::Whole(i128::from(entry.balance)),
        ])?;
    }
    Ok(())
}

/// Asset by asset.
///
/// # Errors
/// [`FormError`].
pub fn trial_balance(file: &mut File, found: &TrialBalance, assets: &Assets) -> Result<(), FormError> {
    for (asset, total) in &found.assets {
        file.row(&[
            Cell::Whole(i128::from(found.seq)),
            assets.code(*asset).into(),
            Cell::Whole(i128::from(total.accounts)),
            Cell::Whole(total.debits),
            Cell::Whole(total.credits),
            Cell::Whole(total.credits.saturating_sub(total.debits)),
        ])?;
    }
    Ok(())
}
