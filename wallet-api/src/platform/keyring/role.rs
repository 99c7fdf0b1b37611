//! Roles of operators, and what each may: one table, and what is not in it may not be done.
//!
//! An operator's rights are the union of the roles in force at the moment. A role that is for a shop or a biller is always
//! bound to one, the others never: its scopes hold for what is that merchant's, on routes that know such bounds
//! ([`Within`](super::Within)), and on no other. Not here: who has which role, and since when (`identity::operators`).

use uuid::Uuid;

use super::Scope;

/// What somebody does who works for a tenant. The words never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Serves customers in one shop.
    ShopStaff,
    /// Answers for one biller's payments.
    Biller,
    /// Answers for one merchant's payments.
    Merchant,
    /// Sets up programmes and campaigns.
    Marketing,
    /// Looks after the books.
    Finance,
    /// Of a bank or another third party.
    Bank,
    /// Builds on the API.
    Developer,
    /// Sets up the tenant, and reads its log.
    Admin,
}

/// What each role may. Every operator has [`Scope::Staff`] beside it.
const MAY: [(Role, &[Scope]); 8] = [
    (Role::ShopStaff, &[Scope::CustomersRead, Scope::PaymentsRead]),
    (Role::Biller, &[Scope::PaymentsRead, Scope::PaymentsWrite, Scope::MerchantsWrite]),
    (Role::Merchant, &[Scope::CustomersRead, Scope::PaymentsRead, Scope::PaymentsWrite, Scope::MerchantsWrite]),
    (Role::Marketing, &[Scope::LoyaltyRead, Scope::LoyaltyWrite]),
    // No `ledger:write`: what a person posts by hand takes four eyes.
    (
        Role::Finance,
        &[
            Scope::PaymentsRead,
            Scope::LedgerRead,
            Scope::LedgerAdjust,
            Scope::LedgerApprove,
            Scope::Approvals,
            Scope::BreakGlass,
        ],
    ),
    (Role::Bank, &[]), // its routes come with open banking
    (Role::Developer, &[Scope::HooksRead, Scope::HooksWrite, Scope::LoyaltyRead, Scope::SandboxWrite]),
    (Role::Admin, &[Scope::Admin, Scope::MerchantsWrite, Scope::HooksRead, Scope::Approvals, Scope::BreakGlass]),
];

/// What an open glass lets its operator do with the one customer it is about.
const IN_AN_EMERGENCY: [Scope; 2] = [Scope::CustomersRead, Scope::PaymentsRead];

impl Role {
    /// Every role.
    pub const ALL: [Self; 8] = [
        Self::ShopStaff,
        Self::Biller,
        Self::Merchant,
        Self::Marketing,
        Self::Finance,
        Self::Bank,
        Self::Developer,
        Self::Admin,
    ];

    /// Its word in the database, in commands and in the audit log.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::ShopStaff => "shop-staff",
            Self::Biller => "biller",
            Self::Merchant => "merchant",
            Self::Marketing => "marketing",
            Self::Finance => "finance",
            Self::Bank => "bank",
            Self::Developer => "developer",
            Self::Admin => "admin",
        }
    }

    /// What it may.
    #[must_use]
    pub fn scopes(self) -> &'static [Scope] {
        MAY.iter().find(|(role, _)| *role == self).map_or(&[], |(_, scopes)| *scopes)
    }

    /// Whether it is for one merchant or biller, and so always bound to one.
    #[must_use]
    pub const fn is_bound(self) -> bool {
        matches!(self, Self::ShopStaff | Self::Biller | Self::Merchant)
    }

    /// Whether it may so much that its sessions live shorter.
    #[must_use]
    pub const fn is_strict(self) -> bool {
        matches!(self, Self::Finance | Self::Admin)
    }
}

/// A word that is no role.
#[derive(Debug, thiserror::Error)]
#[error("no role is called {0:?}: shop-staff, biller, merchant, marketing, finance, bank, developer or admin")]
pub struct UnknownRole(String);

impl std::str::FromStr for Role {
    type Err = UnknownRole;

    fn from_str(word: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.word() == word).ok_or_else(|| UnknownRole(word.to_owned()))
    }
}

/// What an operator may at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    /// The roles in force, each with the merchant that it is bound to.
    pub roles: Vec<(Role, Option<Uuid>)>,
    /// Customers they look at in an emergency.
    pub emergencies: Vec<Uuid>,
}

impl Rights {
    /// What of it is in force in a session that a password opened: no role that may much, and no emergency.
    #[must_use]
    pub fn of_password(mut self) -> Self {
        self.roles.retain(|(role, _)| !role.is_strict());
        Self { emergencies: Vec::new(), ..self }
    }
}

/// How far somebody's right reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Over the whole tenant.
    All,
    /// As far as these.
    Within {
        /// What is these merchants'.
        merchants: Vec<Uuid>,
        /// What is these customers'.
        customers: Vec<Uuid>,
    },
}

impl Reach {
    /// Whether it reaches what is this merchant's.
    #[must_use]
    pub fn has_merchant(&self, merchant: Uuid) -> bool {
        match self {
            Self::All => true,
            Self::Within { merchants, .. } => merchants.contains(&merchant),
        }
    }

    /// Whether it reaches a payment of this customer to this merchant.
    #[must_use]
    pub fn has_payment(&self, customer: Uuid, merchant: Uuid) -> bool {
        match self {
            Self::All => true,
            Self::Within { customers, .. } => self.has_merchant(merchant) || customers.contains(&customer),
        }
    }
}

impl Rights {
    /// How far `scope` reaches; none when they do not have it at all.
    #[must_use]
    pub fn reach(&self, scope: Scope) -> Option<Reach> {
        let mut merchants = Vec::new();
        for (role, merchant) in &self.roles {
            if !role.scopes().contains(&scope) {
                continue;
            }
            match merchant {
                Some(merchant) => merchants.push(*merchant),
                // A role that should be bound and is not reaches nothing.
                None if role.is_bound() => {}
                None => return Some(Reach::All),
            }
        }
        if scope == Scope::Staff {
            return Some(Reach::All);
        }
        let customers = if IN_AN_EMERGENCY.contains(&scope) { self.emergencies.clone() } else { Vec::new() };
        let is_none = merchants.is_empty() && customers.is_empty();
        (!is_none).then_some(Reach::Within { merchants, customers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t39_a_role_may_what_the_table_says_and_nothing_else() {
        let shop = Uuid::from_u128(7);
        for role in Role::ALL {
            assert_eq!(role.word().parse::<Role>().unwrap(), role);
            let bound = role.is_bound().then_some(shop);
            let rights = Rights { roles: vec![(role, bound)], emergencies: Vec::new() };
            for scope in Scope::ALL {
                let expected = match (role.scopes().contains(&scope) || scope == Scope::Staff, bound) {
                    (false, _) => None,
                    (true, Some(shop)) if scope != Scope::Staff => {
                        Some(Reach::Within { merchants: vec![shop], customers: Vec::new() })
                    }
                    (true, _) => Some(Reach::All),
                };
                assert_eq!(rights.reach(scope), expected, "{role:?} {scope}");
            }
            for scope in [Scope::Me, Scope::MeMoney, Scope::LedgerWrite] {
                assert!(!role.scopes().contains(&scope), "{role:?} {scope}");
            }
        }
        assert!("root".parse::<Role>().is_err());
    }

    #[test]
    fn t37_a_bound_role_without_its_bound_reaches_nothing() {
        let rights = Rights { roles: vec![(Role::ShopStaff, None)], emergencies: Vec::new() };
        assert_eq!(rights.reach(Scope::CustomersRead), None);
    }

    #[test]
    fn rights_are_the_union_of_the_roles() {
        let (one, two, customer) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let roles = vec![(Role::ShopStaff, Some(one)), (Role::Merchant, Some(two))];
        let rights = Rights { roles: roles.clone(), emergencies: vec![customer] };
        let reach = rights.reach(Scope::PaymentsRead).unwrap();
        assert!(reach.has_merchant(one) && reach.has_merchant(two) && !reach.has_merchant(customer));
        assert!(reach.has_payment(customer, Uuid::nil()) && !reach.has_payment(one, Uuid::nil()));
        assert_eq!(rights.reach(Scope::PaymentsWrite), Some(Reach::Within { merchants: vec![two], customers: vec![] }));
        let whole = Rights { roles: [roles, vec![(Role::Finance, None)]].concat(), emergencies: Vec::new() };
        assert_eq!(whole.reach(Scope::PaymentsRead), Some(Reach::All));
    }
}
