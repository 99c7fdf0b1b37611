use super::*;
use crate::platform::webauthn::{Ceremony, Expected, Fault, Instrument, Known, register, verify};

const RP_ID: &str = "wallet.example";
const ORIGIN: &str = "https://wallet.example";
const CHALLENGE: [u8; 32] = [7; 32];

fn ask() -> Ask<'static> {
    Ask { challenge: &CHALLENGE, origin: ORIGIN, rp_id: RP_ID }
}

#[test]
fn what_it_makes_is_taken_whatever_its_make() {
    let origins = [ORIGIN.to_owned()];
    let expected = |ceremony| Expected { ceremony, challenge: &CHALLENGE, rp_id: RP_ID, origins: &origins };
    let instrument = Instrument { display_name: "Wallet".to_owned(), icon: "https://wallet.example/i.png".to_owned() };
    let shown = PaymentShown { payee_name: "Bar Luce", value: "10.00", currency: "EUR", instrument: &instrument };
    for make in [Make::DEVICE, Make::SYNCED, Make { algorithm: Algorithm::Ed25519, ..Make::DEVICE }] {
        let (mut authenticator, made) =
            Authenticator::create(&Ids::system(), make, &ask(), b"user", &Manners::good()).unwrap();
        let registered = register(&made, &expected(Ceremony::Create)).unwrap();
        assert_eq!((registered.backup_eligible, registered.counter), (make.synced, 0));
        assert_eq!(registered.key, authenticator.public_key().unwrap());
        let mut counter = 0;
        for _ in 0..2 {
            let known = Known { key: &registered.key, counter, backup_eligible: make.synced };
            let used = authenticator.get(&ask(), &Manners::good()).unwrap();
            counter = verify(&used, &expected(Ceremony::Get), &known).unwrap().counter;
            let known = Known { counter, ..known };
            let paid = authenticator.pay(&ask(), &shown, &Manners::good()).unwrap();
            counter = verify(&paid, &expected(Ceremony::Payment(&shown)), &known).unwrap().counter;
        }
        assert_eq!(counter, if make.counts { 4 } else { 0 });
    }
}

#[test]
fn a_key_of_another_kind_is_not_registered() {
    let origins = [ORIGIN.to_owned()];
    let expected = Expected { ceremony: Ceremony::Create, challenge: &CHALLENGE, rp_id: RP_ID, origins: &origins };
    let manners = Manners { public_key_of_another_kind: true, ..Manners::good() };
    let (_, made) = Authenticator::create(&Ids::system(), Make::DEVICE, &ask(), b"user", &manners).unwrap();
    assert_eq!(register(&made, &expected), Err(Fault::Algorithm));
}
