//! A customer who has signed up: a person with a device and a session, past the routes that make one.

use diesel::{Connection, PgConnection};
use uuid::Uuid;
use wallet_api::identity::devices::{self, BoundBy, NewDevice};
use wallet_api::identity::people;
use wallet_api::identity::sessions::{self, Held};
use wallet_api::platform::clock::Clock;
use wallet_api::platform::ids::Ids;
use wallet_api::platform::text::Lang;

use crate::{Api, World};

/// A person.
#[derive(Clone)]
pub struct Member {
    /// The customer they are.
    pub id: Uuid,
    /// Their client, in a session of theirs.
    pub api: Api,
}

impl World {
    /// A customer with an empty wallet, who has signed up.
    pub async fn member(&self, reference: &str) -> Member {
        let id = self.customer(reference).await;
        self.sign_up(id)
    }

    /// Makes a person of a customer, and opens a session of theirs.
    pub fn sign_up(&self, id: Uuid) -> Member {
        let (ids, now) = (Ids::system(), Clock::System.now());
        let mut conn = PgConnection::establish(&self.url).unwrap();
        people::ensure(&mut conn, now, self.tenant, id, Lang::It).unwrap();
        let new = NewDevice { person: id, key: None, bound_by: BoundBy::SignUp };
        let device = devices::bind(&mut conn, &ids, now, self.tenant, &new).unwrap().unwrap();
        let pair = sessions::open(&mut conn, &ids, now, self.tenant, (id, device), Held::Page).unwrap();
        Member { id, api: self.api.with_key(pair.access.token.reveal()) }
    }
}
