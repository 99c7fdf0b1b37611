//! Classes of routes: what is limited apart from what.

use std::fmt;

use actix_web::http::Method;

/// What a route is to the house, and so which limits it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Moves money, or says what became of it.
    Money,
    /// Reads, and writes nothing.
    Read,
    /// Sets something up: customers, campaigns, endpoints.
    Setup,
    /// Much at a time: exports, replays, long listings, streams.
    Bulk,
}

/// Routes that have another class than their method says: method, pattern, class.
pub type Classes = &'static [(&'static str, &'static str, Class)];

/// Routes that tell whether the node lives, and the one to which other nodes carry what they have let in; never limited.
const FREE: [&str; 4] = ["/livez", "/readyz", "/metrics", "/internal/journal"];

impl Class {
    /// Every class.
    pub const ALL: [Self; 4] = [Self::Money, Self::Read, Self::Setup, Self::Bulk];

    /// Its word in settings and in headers.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Money => "money",
            Self::Read => "read",
            Self::Setup => "setup",
            Self::Bulk => "bulk",
        }
    }

    /// The class of a route by its pattern; none for those that are never limited.
    #[must_use]
    pub fn of(classes: Classes, method: &Method, pattern: &str) -> Option<Self> {
        if FREE.contains(&pattern) {
            return None;
        }
        let named = classes.iter().find(|(verb, path, _)| *path == pattern && *verb == method.as_str());
        Some(named.map_or_else(|| Self::by_method(method), |(_, _, class)| *class))
    }

    fn by_method(method: &Method) -> Self {
        if method.is_safe() { Self::Read } else { Self::Setup }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One value for each class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PerClass<T> {
    /// For [`Class::Money`].
    pub money: T,
    /// For [`Class::Read`].
    pub read: T,
    /// For [`Class::Setup`].
    pub setup: T,
    /// For [`Class::Bulk`].
    pub bulk: T,
}

impl<T> PerClass<T> {
    /// The value of a class.
    pub fn of(&self, class: Class) -> &T {
        match class {
            Class::Money => &self.money,
            Class::Read => &self.read,
            Class::Setup => &self.setup,
            Class::Bulk => &self.bulk,
        }
    }

    /// The value of a class, to change it.
    pub fn of_mut(&mut self, class: Class) -> &mut T {
        match class {
            Class::Money => &mut self.money,
            Class::Read => &mut self.read,
            Class::Setup => &mut self.setup,
            Class::Bulk => &mut self.bulk,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_what_the_table_says_or_else_what_its_method_says_and_health_is_free() {
        let classes: Classes = &[("POST", "/pay", Class::Money), ("GET", "/export", Class::Bulk)];
        let of = |method: Method, pattern: &str| Class::of(classes, &method, pattern);
        assert_eq!(of(Method::POST, "/pay"), Some(Class::Money));
        assert_eq!(of(Method::GET, "/pay"), Some(Class::Read));
        assert_eq!(of(Method::GET, "/export"), Some(Class::Bulk));
        assert_eq!(of(Method::DELETE, "-"), Some(Class::Setup));
        for free in FREE {
            assert_eq!(of(Method::GET, free), None);
        }
    }
}
