//! Events and orders through the vault into the log, on the embedded store.

#![allow(clippy::unwrap_used, reason = "a step that fails fails its test")]

use std::path::Path;
use std::sync::Arc;

use merx_domain::{
    ConsentStamp, Currency, Event, EventKind, IdentityKind, LocationId, MarketId, Money, Order, OrderLine,
    OrderLineKind, OrderStatus, Product, ProductId, ProductNumber, ProductStatus, Purposes, StockLevel, SubjectId,
    TimestampMs, VariantId,
};
use merx_ingest::segment::{self, Call};
use merx_ingest::vault::{MasterKey, Vault, VaultError};
use merx_ingest::{
    Arrival, ChangeNumber, CustomerOrder, Identities, Ingest, MIGRATIONS, RawEvent, Rules, StockKey, Written,
};
use merx_store::{Appended, LogSettings, Store, StoreError};

struct Shop {
    folder: tempfile::TempDir,
    key: MasterKey,
    store: Store,
    ingest: Ingest,
}

fn open(folder: &Path, keys: Vec<MasterKey>, cached: usize) -> Result<(Store, Ingest), VaultError> {
    let store = Store::open_embedded(folder, MIGRATIONS, LogSettings::default())?;
    let vault = Vault::open(Arc::clone(&store.records), keys, cached)?;
    let ingest = Ingest::new(Arc::clone(&store.records), Arc::clone(&store.log), vault);
    Ok((store, ingest))
}

impl Shop {
    fn new() -> Self {
        Self::with_cache(10_000)
    }

    fn with_cache(cached: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = MasterKey::random().unwrap();
        let (store, ingest) = open(folder.path(), vec![key.clone()], cached).unwrap();
        Self { folder, key, store, ingest }
    }

    /// Closes everything and opens it again, as after a crash.
    fn reopened(self) -> Self {
        let Self { folder, key, store, ingest } = self;
        drop((store, ingest));
        let (store, ingest) = open(folder.path(), vec![key.clone()], 10_000).unwrap();
        Self { folder, key, store, ingest }
    }

    fn accept(&self, items: &[&str]) -> Vec<Appended> {
        self.ingest.accept(raw(items), TimestampMs(1_000)).unwrap()
    }

    fn events(&self) -> Vec<Event> {
        self.store.log.read(None, 100_000).unwrap().into_iter().map(|(_, event)| event).collect()
    }

    fn last(&self) -> Event {
        self.events().pop().unwrap()
    }

    fn put_orders(&self, orders: &[CustomerOrder], at: i64) -> Vec<Written> {
        self.ingest.put_orders(orders.to_vec(), TimestampMs(at), &mut |_, _| Ok(())).unwrap()
    }
}

fn raw(items: &[&str]) -> Vec<RawEvent> {
    raw_from(true, items)
}

fn raw_from(vouched: bool, items: &[&str]) -> Vec<RawEvent> {
    let body = format!(r#"{{"batch":[{}]}}"#, items.join(","));
    let arrival = Arrival {
        received_at: TimestampMs::parse("2026-03-04T12:00:00Z").unwrap(),
        scope: "key",
        vouched,
        global_privacy_control: false,
        user_agent: None,
    };
    let results = segment::read(body.as_bytes(), Call::Batch, &arrival, &Rules::new(Currency::EUR)).unwrap();
    results.into_iter().map(Result::unwrap).collect()
}

/// A track call: message id, user id and anonymous id, empty for none.
fn hop(message: &str, user: &str, anonymous: &str) -> String {
    let id = |id: &str| if id.is_empty() { "null".to_owned() } else { format!("\"{id}\"") };
    format!(
        r#"{{"type":"track","event":"Hop","messageId":"{message}","userId":{},"anonymousId":{}}}"#,
        id(user),
        id(anonymous)
    )
}

fn alias(message: &str, previous: &str, user: &str) -> String {
    format!(r#"{{"type":"alias","messageId":"{message}","previousId":"{previous}","userId":"{user}"}}"#)
}

#[test]
fn a_visitor_stays_the_same_person_when_they_sign_in() {
    let shop = Shop::new();
    shop.accept(&[&hop("1", "", "v1"), &hop("2", "u1", "v1"), &hop("3", "u1", ""), &hop("4", "", "v1")]);
    let events = shop.events();
    assert!(events.iter().all(|event| event.subject == events[0].subject && event.merged_from.is_none()));
    assert_ne!(events[0].subject, SubjectId(0));
}

#[test]
fn a_known_customers_second_device_is_absorbed_and_told_once() {
    let shop = Shop::new();
    shop.accept(&[&hop("1", "u1", "phone"), &hop("2", "", "laptop"), &hop("3", "", "laptop")]);
    let (customer, laptop) = (shop.events()[0].subject, shop.events()[1].subject);
    assert_ne!(customer, laptop);
    shop.accept(&[&hop("4", "u1", "laptop"), &hop("5", "u1", "laptop"), &hop("6", "", "laptop")]);
    let later: Vec<_> = shop.events()[3..].iter().map(|event| (event.subject, event.merged_from)).collect();
    assert_eq!(later, [(customer, Some(laptop)), (customer, None), (customer, None)]);
    assert_eq!(shop.ingest.vault.current(laptop).unwrap(), customer);
    // The same after a restart, when nothing is cached.
    let shop = shop.reopened();
    shop.accept(&[&hop("7", "", "laptop")]);
    assert_eq!(shop.last().subject, customer);
    let mut names: Vec<_> = shop.ingest.vault.export(laptop).unwrap().into_iter().map(|name| name.value).collect();
    names.sort();
    assert_eq!(names, ["laptop", "phone", "u1"]);
}

#[test]
fn one_customer_is_never_merged_into_another_by_a_shared_device() {
    for cached in [10_000, 2] {
        let shop = Shop::with_cache(cached);
        shop.accept(&[&hop("1", "u1", "tablet"), &hop("2", "u2", "tablet"), &hop("3", "", "tablet")]);
        shop.accept(&[&hop("4", "u2", "phone"), &hop("5", "u2", "tablet"), &hop("6", "u1", "phone")]);
        let events = shop.events();
        let (first, second) = (events[0].subject, events[1].subject);
        assert_ne!(first, second);
        let subjects: Vec<_> = events.iter().map(|event| event.subject).collect();
        assert_eq!(subjects, [first, second, first, second, second, first]);
        assert!(events.iter().all(|event| event.merged_from.is_none()));
    }
}

#[test]
fn an_alias_joins_even_customers_and_chains_are_resolved() {
    let shop = Shop::new();
    shop.accept(&[&hop("1", "a", ""), &hop("2", "b", ""), &hop("3", "c", "")]);
    let subjects: Vec<_> = shop.events().iter().map(|event| event.subject).collect();
    shop.accept(&[&alias("4", "a", "b")]);
    assert_eq!((shop.last().subject, shop.last().merged_from), (subjects[1], Some(subjects[0])));
    shop.accept(&[&alias("5", "b", "c"), &hop("6", "a", "")]);
    assert_eq!((shop.last().subject, shop.events()[4].merged_from), (subjects[2], Some(subjects[1])));
    assert_eq!(shop.ingest.vault.current(subjects[0]).unwrap(), subjects[2]);
    // Back again, to itself, and from an id never heard of: nobody is lost or doubled.
    shop.accept(&[
        &alias("7", "c", "a"),
        &alias("8", "c", "c"),
        &alias("9", "unheard", "c"),
        &hop("10", "", "unheard"),
    ]);
    for event in &shop.events()[6..] {
        assert_eq!((event.subject, event.merged_from), (subjects[2], None));
    }
}

#[test]
fn many_threads_agree_on_who_is_who() {
    let shop = Shop::new();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let shop = &shop;
            scope.spawn(move || {
                for round in 0..20 {
                    let (user, visitor) = (format!("u{}", round % 5), format!("v{}", (round + thread) % 10));
                    let only = hop(&format!("{thread}-{round}-a"), "", &visitor);
                    let own = format!("v{}", round % 5);
                    let both = hop(&format!("{thread}-{round}-b"), &user, &own);
                    shop.accept(&[&only, &both]);
                }
            });
        }
    });
    let events = shop.events();
    assert_eq!(events.len(), 320);
    let subject = |kind, id: &str| shop.ingest.vault.find(kind, id).unwrap().unwrap();
    for n in 0..5 {
        let user = subject(IdentityKind::UserId, &format!("u{n}"));
        assert_eq!(user, subject(IdentityKind::AnonymousId, &format!("v{n}")));
    }
    // Each absorbed subject is told exactly once, and never seen after that.
    for (place, event) in events.iter().enumerate() {
        if let Some(absorbed) = event.merged_from {
            assert!(events[place..].iter().all(|later| later.subject != absorbed));
        }
        let current = shop.ingest.vault.current(event.subject).unwrap();
        let told = events.iter().filter(|other| other.merged_from == Some(event.subject)).count();
        assert_eq!(told, usize::from(current != event.subject));
    }
}

#[test]
fn an_absorption_whose_event_was_not_stored_is_told_by_the_next() {
    let shop = Shop::new();
    shop.accept(&[&hop("1", "u1", "phone"), &hop("2", "", "laptop")]);
    let laptop = shop.last().subject;
    let names = raw(&[&hop("3", "u1", "laptop")]);
    let failed: Result<(), VaultError> =
        shop.ingest.vault.with_subjects(&[&names[0].identities], TimestampMs(1), |resolved| {
            assert_eq!(resolved[0].merged_from, Some(laptop));
            Err(StoreError::Busy { what: "log", retry_after_ms: 1 }.into())
        });
    assert!(failed.is_err());
    let shop = shop.reopened();
    // A duplicate is dropped, and tells nobody.
    assert_eq!(shop.accept(&[&hop("1", "u1", "")]), [Appended::Duplicate]);
    assert_eq!(shop.accept(&[&hop("4", "u1", "")]), [Appended::Stored]);
    assert_eq!(shop.last().merged_from, Some(laptop));
    shop.accept(&[&hop("5", "u1", "")]);
    assert_eq!(shop.last().merged_from, None);
}

#[test]
fn details_are_sealed_exported_and_erased() {
    let shop = Shop::new();
    let identify =
        r#"{"type":"identify","messageId":"1","userId":"kim-31","traits":{"email":"kim@post.example","name":"Kim"}}"#;
    shop.accept(&[identify]);
    let subject = shop.last().subject;
    let exported: Vec<_> = shop
        .ingest
        .vault
        .export(subject)
        .unwrap()
        .into_iter()
        .map(|identity| (identity.kind, identity.value))
        .collect();
    assert_eq!(
        exported,
        [
            (IdentityKind::UserId, "kim-31".to_owned()),
            (IdentityKind::Email, "kim@post.example".to_owned()),
            (IdentityKind::Name, "Kim".to_owned()),
        ]
    );
    assert_eq!(shop.ingest.vault.find(IdentityKind::Email, "kim@post.example").unwrap(), Some(subject));
    // A new address replaces the old one.
    shop.accept(&[&identify.replace("\"1\"", "\"2\"").replace("kim@post", "berg@post")]);
    assert_eq!(shop.ingest.vault.export(subject).unwrap()[1].value, "berg@post.example");

    assert_eq!(shop.ingest.forget(subject, TimestampMs(0)).unwrap(), [subject]);
    assert!(shop.ingest.vault.export(subject).unwrap().is_empty());
    assert!(shop.events().is_empty());
    shop.accept(&[&hop("3", "kim-31", "")]);
    assert_ne!(shop.last().subject, subject);

    // No file holds a name in clear.
    let folder = shop.folder.path().to_owned();
    for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let bytes = std::fs::read(&file).unwrap();
        for name in ["kim-31", "kim@post", "berg@post", "Kim"] {
            assert!(!bytes.windows(name.len()).any(|window| window == name.as_bytes()), "{name} in {}", file.display());
        }
    }
}

#[test]
fn erasing_a_joined_person_names_all_their_pseudonyms() {
    let shop = Shop::new();
    shop.accept(&[&hop("1", "u1", "phone"), &hop("2", "", "laptop")]);
    shop.accept(&[&hop("3", "u1", "laptop"), &hop("4", "u2", "")]);
    let (customer, laptop) = (shop.events()[0].subject, shop.events()[1].subject);
    let mut erased = shop.ingest.forget(laptop, TimestampMs(0)).unwrap();
    erased.sort();
    let mut expected = [customer, laptop];
    expected.sort();
    assert_eq!(erased, expected);
    assert_eq!(shop.events().len(), 1);
}

/// Another process rotates: who goes on with the old key asks where keys come from, and wraps nothing with a key that is left behind.
#[test]
fn a_master_key_that_another_process_exchanged_is_asked_for() {
    let shop = Shop::new();
    shop.accept(&[&hop("1", "u1", "v1")]);
    let subject = shop.last().subject;
    let given = Arc::new(std::sync::Mutex::new(vec![shop.key.clone()]));
    let asked = Arc::clone(&given);
    let follower = Vault::open(Arc::clone(&shop.store.records), vec![shop.key.clone()], 0).unwrap();
    let follower = follower.asking_again(move || Ok(asked.lock().unwrap().clone()));
    let new = MasterKey::random().unwrap();
    shop.ingest.vault.rotate(new.clone()).unwrap();

    assert!(matches!(follower.export(subject), Err(VaultError::WrongMasterKey)), "the source doesn't give it yet");
    let names = Identities { anonymous_id: Some("v2".into()), ..Default::default() };
    let meet = |vault: &Vault| {
        vault.with_subjects(&[&names], TimestampMs(1_000), |met| Ok::<_, VaultError>((met[0].subject, vec![true])))
    };
    assert!(matches!(meet(&follower), Err(VaultError::WrongMasterKey)));
    *given.lock().unwrap() = vec![new];
    assert_eq!(follower.export(subject).unwrap().len(), 2);
    let met = meet(&follower).unwrap();
    assert_eq!(shop.ingest.vault.export(met).unwrap().len(), 1, "the one that rotated opens what was wrapped since");
}

#[test]
fn the_master_key_is_rotated_and_a_wrong_one_refused() {
    let shop = Shop::new();
    shop.accept(&[&hop("1", "u1", "v1"), &hop("2", "u2", "v2")]);
    let subject = shop.events()[0].subject;
    let (old, new) = (shop.key.clone(), MasterKey::random().unwrap());
    assert_eq!(shop.ingest.vault.rotate(new.clone()).unwrap(), 3);
    assert_eq!(shop.ingest.vault.export(subject).unwrap().len(), 2);
    let Shop { folder, store, ingest, .. } = shop;
    drop((store, ingest));
    assert!(matches!(open(folder.path(), vec![old], 10), Err(VaultError::WrongMasterKey)));
    let (_store, ingest) = open(folder.path(), vec![new], 10).unwrap();
    assert_eq!(ingest.vault.export(subject).unwrap().len(), 2);
}

#[test]
fn consent_once_given_stands_on_silent_events_too() {
    let shop = Shop::new();
    let consent = |message: &str, answer: bool| {
        format!(
            r#"{{"type":"track","event":"Segment Consent Preference Updated","messageId":"{message}","anonymousId":"v",
            "timestamp":"2026-03-04T11:00:0{message}Z","context":{{"consent":{{"categoryPreferences":{{"Analytics":{answer}}}}}}}}}"#
        )
    };
    shop.accept(&[&consent("1", true)]);
    shop.accept(&[&hop("s", "", "v")]);
    assert_eq!(shop.last().consent.granted, Purposes::ANALYTICS);
    shop.accept(&[&consent("3", false)]);
    // An earlier word that comes late does not undo a later one.
    shop.accept(&[&consent("2", true)]);
    let shop = shop.reopened();
    shop.accept(&[&hop("t", "u", "v")]);
    assert_eq!((shop.last().consent.granted, shop.last().consent.denied), (Purposes::empty(), Purposes::ANALYTICS));
    assert_eq!(shop.ingest.consents.of(shop.last().subject).unwrap().denied, Purposes::ANALYTICS);
}

fn word(visitor: &str, allows: bool, at: i64) -> RawEvent {
    let purpose = Purposes::PERSONALISATION;
    let stamp = match allows {
        true => ConsentStamp { granted: purpose, ..Default::default() },
        false => ConsentStamp { denied: purpose, ..Default::default() },
    };
    let names = Identities { anonymous_id: Some(visitor.into()), ..Default::default() };
    RawEvent::consent(names, stamp, MarketId::default(), TimestampMs(at))
}

/// Another process may take words in whose machine's clock is minutes behind.
#[test]
fn what_is_said_now_counts_whatever_clock_said_it() {
    let shop = Shop::new();
    shop.ingest.accept(vec![word("v", true, 300_000)], TimestampMs(300_000)).unwrap();
    shop.ingest.accept(vec![word("v", false, 1_000)], TimestampMs(1_000)).unwrap();
    let subject = shop.last().subject;
    assert_eq!(shop.ingest.consents.of(subject).unwrap().denied, Purposes::PERSONALISATION);
    let shop = shop.reopened();
    assert_eq!(shop.ingest.consents.of(subject).unwrap().denied, Purposes::PERSONALISATION);
}

#[test]
fn a_word_repeated_is_remembered_as_of_its_last_time() {
    let consent = |message: &str, answer: bool, second: u8| {
        format!(
            r#"{{"type":"track","event":"Segment Consent Preference Updated","messageId":"{message}","anonymousId":"v",
            "timestamp":"2026-03-04T11:00:{second}Z","context":{{"consent":{{"categoryPreferences":{{"Analytics":{answer}}}}}}}}}"#
        )
    };
    let shop = Shop::new();
    shop.accept(&[&consent("1", false, 10)]);
    shop.accept(&[&consent("2", false, 30)]);
    let shop = shop.reopened();
    // Said between the two, and sent late.
    shop.accept(&[&consent("3", true, 20)]);
    assert_eq!(shop.ingest.consents.of(shop.last().subject).unwrap().denied, Purposes::ANALYTICS);
}

#[test]
fn whoever_is_absorbed_takes_their_refusal_along_at_once() {
    let shop = Shop::new();
    shop.accept(&[&hop("1", "u1", "phone"), &hop("2", "", "laptop")]);
    let customer = shop.events()[0].subject;
    assert_eq!(shop.ingest.consents.of(customer).unwrap(), ConsentStamp::default());
    shop.ingest.accept(vec![word("laptop", false, 2_000)], TimestampMs(2_000)).unwrap();
    let names = raw(&[&hop("3", "u1", "laptop")]);
    // The event that tells of it is not stored.
    let failed: Result<(), VaultError> =
        shop.ingest.vault.with_subjects(&[&names[0].identities], TimestampMs(3_000), |_| {
            Err(StoreError::Busy { what: "log", retry_after_ms: 1 }.into())
        });
    assert!(failed.is_err());
    assert_eq!(shop.ingest.vault.find(IdentityKind::AnonymousId, "laptop").unwrap(), Some(customer));
    assert_eq!(shop.ingest.consents.of(customer).unwrap().denied, Purposes::PERSONALISATION);
}

/// Each machine stamps what it takes in by its own clock: minutes apart, they don't say which word was the later one.
#[test]
fn of_two_words_that_are_joined_a_refusal_counts_where_clocks_cant_tell() {
    const MINUTE: i64 = 60_000;
    for (refused_at, allowed_at, counts) in [(30, 34, true), (34, 30, true), (10, 34, false), (34, 10, true)] {
        let shop = Shop::new();
        shop.accept(&[&hop("1", "u1", "phone"), &hop("2", "", "laptop")]);
        let say = |visitor, allows, minute| {
            shop.ingest.accept(vec![word(visitor, allows, minute * MINUTE)], TimestampMs(minute * MINUTE)).unwrap();
        };
        say("laptop", false, refused_at);
        say("phone", true, allowed_at);
        shop.accept(&[&hop("3", "u1", "laptop")]);
        let customer = shop.last().subject;
        let stamp = shop.ingest.consents.of(customer).unwrap();
        assert_eq!(stamp.denied.contains(Purposes::PERSONALISATION), counts, "{refused_at} {allowed_at}: {stamp:?}");
        assert_eq!(stamp.granted.contains(Purposes::PERSONALISATION), !counts, "{refused_at} {allowed_at}: {stamp:?}");
        // Who says so again is believed.
        say("laptop", true, 31);
        assert_eq!(shop.ingest.consents.of(customer).unwrap().granted, Purposes::PERSONALISATION);
    }
}

#[test]
fn products_named_by_events_get_numbers_and_names() {
    let shop = Shop::new();
    let viewed = |message: &str, properties: &str| {
        format!(
            r#"{{"type":"track","event":"Product Viewed","messageId":"{message}","anonymousId":"v","properties":{properties}}}"#
        )
    };
    shop.accept(&[
        &viewed("1", r#"{"product_id":"hose","name":"Garden hose","brand":"Rill","price":18.99}"#),
        &viewed("2", r#"{"product_id":"rake"}"#),
        &viewed("3", r#"{"product_id":"hose","name":"Another name"}"#),
    ]);
    let ids: Vec<ProductId> = ["hose", "rake", "spade"].iter().map(|id| id.parse().unwrap()).collect();
    let stored = shop.ingest.catalogue.get(&ids).unwrap();
    let hose = stored[0].as_ref().unwrap();
    assert_eq!((hose.product.name.as_str(), hose.product.brand.as_deref()), ("Garden hose", Some("Rill")));
    assert_eq!(hose.product.price_in(&MarketId::default()), Some(Money::new(1899, Currency::EUR)));
    assert_eq!(stored[1].as_ref().unwrap().product.name, "rake");
    assert!(stored[2].is_none());
    let mut numbers: Vec<_> = stored.iter().flatten().map(|product| product.number).collect();
    numbers.sort();
    assert_eq!(numbers, [ProductNumber(0), ProductNumber(1)]);
}

#[test]
fn what_only_a_page_names_is_hidden() {
    let shop = Shop::new();
    let viewed = |message: &str, product: &str, name: &str| {
        format!(
            r#"{{"type":"track","event":"Product Viewed","messageId":"{message}","anonymousId":"v",
            "properties":{{"product_id":"{product}","name":"{name}","url":"https://{name}.example/"}}}}"#
        )
    };
    // Both in one go: the word of the shop goes before that of a page.
    let mut events = raw_from(false, &[&viewed("1", "hose", "bait"), &viewed("2", "rake", "bait")]);
    events.extend(raw_from(true, &[&viewed("3", "hose", "honest")]));
    shop.ingest.accept(events, TimestampMs(1_000)).unwrap();
    let ids: Vec<ProductId> = ["hose", "rake"].iter().map(|id| id.parse().unwrap()).collect();
    let stored = |place: usize| shop.ingest.catalogue.get(&ids).unwrap()[place].clone().unwrap().product;
    assert_eq!((stored(0).status, stored(0).name.as_str()), (ProductStatus::Visible, "honest"));
    assert_eq!(stored(1).status, ProductStatus::Hidden);
    // No later event of a page changes a product.
    shop.ingest.accept(raw_from(false, &[&viewed("4", "hose", "bait")]), TimestampMs(2_000)).unwrap();
    assert_eq!(stored(0).name, "honest");
}

fn product(id: &str, name: &str) -> Product {
    Product::new(id.parse().unwrap(), name, TimestampMs(0))
}

#[test]
fn products_are_put_patched_archived_and_followed() {
    let shop = Shop::new();
    let catalogue = &shop.ingest.catalogue;
    let at = TimestampMs;
    let written = catalogue.put(&[product("a", "A"), product("b", "B"), product("a", "A2")], at(10)).unwrap();
    assert_eq!(written, [Written::Created, Written::Created, Written::Updated]);
    assert_eq!(catalogue.put(&[product("b", "B")], at(20)).unwrap(), [Written::Unchanged]);
    let seen = catalogue.changed_since(ChangeNumber(0), 10).unwrap();
    assert_eq!(seen.iter().map(|s| (s.product.name.as_str(), s.number.0)).collect::<Vec<_>>(), [("A2", 0), ("B", 1)]);
    let last = seen[1].change;

    let ids: Vec<ProductId> = ["b", "x"].iter().map(|id| id.parse().unwrap()).collect();
    let patched = catalogue.patch(&ids, at(30), &|_, product| product.brand = Some("Rill".into())).unwrap();
    assert_eq!(patched, [Some(Written::Updated), None]);
    let b = catalogue.get(&ids).unwrap()[0].clone().unwrap();
    // What it brought as its creation counts, as it lies before the time of the first put.
    assert_eq!((b.product.created_at, b.product.updated_at, b.number), (at(0), at(30), ProductNumber(1)));
    assert_eq!(catalogue.archive(&ids[..1], at(40)).unwrap(), [Some(Written::Updated)]);
    let changed = catalogue.changed_since(last, 10).unwrap();
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0].product.status, ProductStatus::Archived);
    catalogue.put(&[product("c", "C")], at(50)).unwrap();
    let page = catalogue.list(Some(&ids[0]), 10).unwrap();
    assert_eq!(page.iter().map(|s| (s.product.id.as_str(), s.number.0)).collect::<Vec<_>>(), [("c", 2)]);
}

#[test]
fn stock_is_put_removed_and_followed() {
    let shop = Shop::new();
    let level = |variant: &str, location: &str, quantity| StockLevel {
        product: "p".parse().unwrap(),
        variant: VariantId::new(variant).unwrap(),
        location: LocationId::new(location).unwrap(),
        quantity,
        updated_at: TimestampMs(5),
    };
    let stock = &shop.ingest.stock;
    let levels = [level("s", "north", 3), level("s", "south", 0), level("m", "north", -1)];
    assert_eq!(stock.put(&levels).unwrap(), [Written::Created; 3]);
    assert_eq!(
        stock.put(&[level("s", "north", 3), level("s", "south", 4)]).unwrap(),
        [Written::Unchanged, Written::Updated]
    );
    let listed = stock.list(None, 10).unwrap();
    assert_eq!(
        listed.iter().map(|l| (l.variant.as_str(), l.quantity)).collect::<Vec<_>>(),
        [("m", -1), ("s", 3), ("s", 4)]
    );
    assert_eq!(stock.list(Some(&StockKey::of(&listed[1])), 10).unwrap().len(), 1);
    let last = stock.changed_since(ChangeNumber(0), 10).unwrap().last().unwrap().change;
    let key = StockKey::of(&levels[0]);
    assert_eq!(
        stock.remove(&[key.clone(), StockKey { variant: "xl".parse().unwrap(), ..key }], TimestampMs(9)).unwrap(),
        [true, false]
    );
    let changes = stock.changed_since(last, 10).unwrap();
    assert_eq!(changes.iter().map(|c| (c.level.location.as_str(), c.removed)).collect::<Vec<_>>(), [("north", true)]);
    assert_eq!(stock.of_product(&"p".parse().unwrap()).unwrap().len(), 2);
}

fn order(id: &str, customer: &str, lines: &[(&str, i64, OrderLineKind)]) -> CustomerOrder {
    let line = |&(product, quantity, kind): &(&str, i64, OrderLineKind)| OrderLine {
        product: product.parse().unwrap(),
        variant: None,
        kind,
        quantity,
        unit_price: Money::new(250, Currency::EUR),
    };
    CustomerOrder {
        customer: (!customer.is_empty()).then(|| customer.into()),
        order: Order {
            id: id.parse().unwrap(),
            subject: None,
            placed_at: TimestampMs(77),
            market: MarketId::default(),
            currency: Currency::EUR,
            status: OrderStatus::Completed,
            lines: lines.iter().map(line).collect(),
        },
    }
}

#[test]
fn orders_reach_records_and_log_once() {
    use OrderLineKind::{Return, Sale};
    let shop = Shop::new();
    let orders = [
        order("o1", "u1", &[("a", 2, Sale), ("b", 1, Sale)]),
        order("o2", "", &[("a", 1, Sale)]),
        order("o3", "u1", &[("b", 1, Return)]),
    ];
    assert_eq!(shop.put_orders(&orders, 500), [Written::Created; 3]);
    assert_eq!(shop.put_orders(&orders, 600), [Written::Unchanged; 3]);
    let told: Vec<_> = shop.events().iter().map(|e| (e.kind, e.occurred_at.0, e.value.unwrap().minor)).collect();
    assert_eq!(
        told,
        [
            (EventKind::OrderCompleted, 77, 750),
            (EventKind::OrderCompleted, 77, 250),
            (EventKind::OrderRefunded, 77, 250)
        ]
    );
    let customer = shop.ingest.customer("u1").unwrap().unwrap();
    assert_eq!(shop.events()[0].subject, customer);
    assert_ne!(shop.events()[1].subject, customer);
    assert_eq!(shop.ingest.orders.of_subject(customer, 10).unwrap().len(), 2);

    // Something comes back later: one more event, at the time it was told.
    let returned = order("o1", "u1", &[("a", 2, Sale), ("b", 1, Sale), ("b", 1, Return)]);
    assert_eq!(shop.put_orders(std::slice::from_ref(&returned), 700), [Written::Updated]);
    assert_eq!((shop.events().len(), shop.last().kind, shop.last().occurred_at.0), (4, EventKind::OrderRefunded, 700));
    // A crash between log and records: the log has the events, the order comes again, nothing is doubled.
    shop.ingest.orders.remove(&["o1".parse().unwrap()]).unwrap();
    assert_eq!(shop.put_orders(&[returned], 800), [Written::Created]);
    assert_eq!(shop.events().len(), 4);
}

#[test]
fn a_visitors_orders_move_with_them() {
    let shop = Shop::new();
    shop.put_orders(&[order("o1", "old", &[("a", 1, OrderLineKind::Sale)])], 1);
    shop.accept(&[&hop("1", "new", ""), &alias("2", "old", "new")]);
    let customer = shop.ingest.customer("new").unwrap().unwrap();
    assert_eq!(shop.ingest.orders.of_subject(customer, 10).unwrap().len(), 1);
    shop.ingest.forget(customer, TimestampMs(0)).unwrap();
    assert_eq!(shop.ingest.orders.get(&["o1".parse().unwrap()]).unwrap()[0].as_ref().unwrap().order.subject, None);
}
