use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use merx_backends::RedisOnlineStore;
use merx_store::{LogOffset, OnlineKey, OnlineStore, StoreError, conformance};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::{address, closed_port, own_name, refusal, service};

fn at(test: &str) -> String {
    format!("{}?prefix={}", service("ONLINE"), own_name(test))
}

fn open(at: &str) -> RedisOnlineStore {
    RedisOnlineStore::open(&address(at)).unwrap()
}

fn raw() -> redis::Connection {
    redis::Client::open(service("ONLINE")).unwrap().get_connection().unwrap()
}

fn key(space: u8, id: u8) -> OnlineKey {
    OnlineKey { space, id: u128::from(id) << 100 | u128::from(id) }
}

fn value(store: &dyn OnlineStore, key: OnlineKey) -> Option<Vec<u8>> {
    let mut found = None;
    store.read(key, &mut |value| found = value.map(<[u8]>::to_vec)).unwrap();
    found
}

#[test]
#[ignore = "needs Redis: tools/test backends"]
fn conformance() {
    let at = at("conformance");
    conformance::online_store(&|| Ok(Arc::new(RedisOnlineStore::open(&address(&at))?)));
}

#[test]
#[ignore = "needs Redis: tools/test backends"]
fn the_store_does_what_a_map_does() {
    let steps = prop::collection::vec((0..12_u8, 0..3_u8, 0..6_u8, prop::collection::vec(any::<u8>(), 0..8)), 1..60);
    let mut case = 0;
    let case = std::cell::RefCell::new(&mut case);
    TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() })
        .run(&steps, |steps| {
            **case.borrow_mut() += 1;
            let at = at(&format!("map{}", case.borrow()));
            let mut store = open(&at);
            let mut model: BTreeMap<OnlineKey, Vec<u8>> = BTreeMap::new();
            let mut saved = (None, model.clone());
            for (number, (step, space, id, bytes)) in steps.into_iter().enumerate() {
                let key = key(space, id);
                match step {
                    0..6 => {
                        store.update(key, &mut |value| value.extend(&bytes)).unwrap();
                        model.entry(key).or_default().extend(&bytes);
                    }
                    6 => {
                        store.update(key, &mut Vec::clear).unwrap();
                        model.remove(&key);
                    }
                    7 => {
                        store.remove(key).unwrap();
                        model.remove(&key);
                    }
                    8 | 9 => {
                        store.snapshot(LogOffset(number as u64)).unwrap();
                        saved = (Some(LogOffset(number as u64)), model.clone());
                    }
                    10 => {
                        store = open(&at);
                        prop_assert_eq!(store.restored_at(), saved.0);
                        model = saved.1.clone();
                    }
                    // Sent, so that reads below ask Redis.
                    _ => drop(store.size().unwrap()),
                }
                model.retain(|_, value| !value.is_empty());
                prop_assert_eq!(value(&store, key), model.get(&key).cloned());
            }
            let mut held = BTreeMap::new();
            for space in 0..3 {
                store.scan(space, &mut |id, value| drop(held.insert(OnlineKey { space, id }, value.to_vec()))).unwrap();
            }
            prop_assert_eq!(&held, &model);
            let bytes = model.values().map(|value| value.len() as u64).sum();
            prop_assert_eq!(store.size().unwrap(), (model.len() as u64, bytes));
            Ok(())
        })
        .unwrap();
}

/// A change that overlaps with the sending of what waited is no conflict.
#[test]
#[ignore = "needs Redis: tools/test backends"]
fn changes_go_on_while_others_send() {
    const CHANGES: u32 = 3_000;
    let at = at("sending");
    let store = open(&at);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                store.size().unwrap();
            }
        });
        let changed = (0..CHANGES).try_for_each(|number| {
            store.update(key(1, 1), &mut |value| {
                std::thread::sleep(Duration::from_micros(u64::from(number % 5) * 100));
                *value = number.to_le_bytes().to_vec();
            })?;
            if number % 7 == 6 { store.remove(key(1, 1)) } else { Ok(()) }
        });
        done.store(true, Ordering::Release);
        changed.unwrap();
    });
    store.snapshot(LogOffset(1)).unwrap();
    drop(store);
    assert_eq!(value(&open(&at), key(1, 1)).as_deref(), Some(&(CHANGES - 1).to_le_bytes()[..]));
}

/// Hands everything on to the server; while `loses`, a connection ends where writings would be answered.
fn losing_answers(loses: Arc<AtomicBool>) -> String {
    let good = service("ONLINE");
    let (before, after) = good.rsplit_once('@').unwrap();
    let (server, database) = after.split_once('/').unwrap();
    let (server, listener) = (server.to_owned(), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(&server) else { return };
            let loses = Arc::clone(&loses);
            std::thread::spawn(move || hand_on(&client, &server, &loses));
        }
    });
    format!("{before}@127.0.0.1:{port}/{database}")
}

fn hand_on(mut client: &TcpStream, mut server: &TcpStream, loses: &AtomicBool) -> std::io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        // One asks, the other answers: each in one piece, as small as they are here.
        let asked = client.read(&mut buffer)?;
        if asked == 0 {
            return Ok(());
        }
        server.write_all(&buffer[..asked])?;
        let writes = buffer[..asked].windows(7).any(|word| word == b"EVALSHA");
        let answered = server.read(&mut buffer)?;
        if writes && loses.load(Ordering::Acquire) {
            return client.shutdown(std::net::Shutdown::Both);
        }
        client.write_all(&buffer[..answered])?;
    }
}

/// The server does what it was told and the answer is lost: what is sent next is no conflict.
#[test]
#[ignore = "needs Redis: tools/test backends"]
fn an_answer_that_is_lost_is_no_conflict() {
    let loses = Arc::new(AtomicBool::new(false));
    let store = open(&format!("{}?prefix={}", losing_answers(Arc::clone(&loses)), own_name("lost")));
    for round in 1..=3_u8 {
        loses.store(true, Ordering::Release);
        for id in 1..=3 {
            store.update(key(1, id), &mut |value| value.push(round)).unwrap();
        }
        assert!(store.size().is_err(), "no answer comes");
        // What was sent waits on, and may be changed.
        store.update(key(1, 1), &mut |value| value.push(100 + round)).unwrap();
        store.remove(key(1, 2)).unwrap();
        loses.store(false, Ordering::Release);
        let mended = (0..200).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            store.size().is_ok()
        });
        assert!(mended, "found again by its probe");
    }
    store.snapshot(LogOffset(1)).unwrap();
    drop(store);
    let store = open(&at("lost"));
    assert_eq!(value(&store, key(1, 1)), Some(vec![1, 101, 2, 102, 3, 103]));
    assert_eq!(value(&store, key(1, 2)), None);
    assert_eq!(value(&store, key(1, 3)), Some(vec![1, 2, 3]));
}

#[test]
#[ignore = "needs Redis: tools/test backends"]
fn nothing_of_a_removed_value_stays_after_a_snapshot() {
    let at = at("removed");
    let store = open(&at);
    store.update(key(1, 1), &mut |value| value.extend(b"what a person did")).unwrap();
    store.snapshot(LogOffset(1)).unwrap();
    store.remove(key(1, 1)).unwrap();
    store.snapshot(LogOffset(2)).unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg(format!("{}*", own_name("removed"))).query(&mut raw()).unwrap();
    assert_eq!(keys, [format!("{}:{{meta}}", own_name("removed"))]);
}

#[test]
#[ignore = "needs Redis: tools/test backends"]
fn keys_of_a_subject_lie_in_one_slot() {
    let store = open(&at("slot"));
    for space in 1..4 {
        store.update(key(space, 7), &mut |value| value.push(1)).unwrap();
    }
    store.size().unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg(format!("{}:{{0*", own_name("slot"))).query(&mut raw()).unwrap();
    assert_eq!(keys.len(), 3);
    let tags: Vec<&str> = keys.iter().map(|key| key.split(['{', '}']).nth(1).unwrap()).collect();
    assert!(tags.windows(2).all(|pair| pair[0] == pair[1]), "{keys:?}");
}

#[test]
#[ignore = "needs Redis: tools/test backends"]
fn who_watches_reads_along_and_takes_over_from_the_last_snapshot() {
    let at = at("watch");
    let leads = open(&at);
    let put = |store: &RedisOnlineStore, bytes: &[u8]| store.update(key(1, 1), &mut |value| *value = bytes.to_vec());
    put(&leads, b"saved").unwrap();
    leads.snapshot(LogOffset(7)).unwrap();
    let watches = RedisOnlineStore::watch(&address(&at)).unwrap();
    assert_eq!(watches.restored_at(), Some(LogOffset(7)));
    put(&leads, b"later").unwrap();
    leads.size().unwrap();
    assert_eq!(value(&watches, key(1, 1)).as_deref(), Some(&b"later"[..]));
    assert!(matches!(put(&watches, b"mine"), Err(StoreError::Conflict { .. })));
    assert!(matches!(watches.snapshot(LogOffset(9)), Err(StoreError::Conflict { .. })));

    assert_eq!(watches.lead().unwrap(), Some(LogOffset(7)));
    assert_eq!(value(&watches, key(1, 1)).as_deref(), Some(&b"saved"[..]));
    put(&watches, b"mine").unwrap();
    watches.size().unwrap();
    // Who led before is told, and reads on what counts now.
    let told = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        matches!(put(&leads, b"old"), Err(StoreError::Conflict { .. }))
    });
    assert!(told);
    assert_eq!(value(&leads, key(1, 1)).as_deref(), Some(&b"mine"[..]));
}

#[test]
#[ignore = "needs Redis: tools/test backends"]
fn whoever_opens_last_writes() {
    let at = at("last");
    let first = open(&at);
    first.update(key(1, 1), &mut |value| value.push(1)).unwrap();
    first.snapshot(LogOffset(1)).unwrap();
    let second = open(&at);
    assert_eq!(value(&second, key(1, 1)), Some(vec![1]));
    first.update(key(1, 1), &mut |value| value.push(2)).unwrap();
    assert!(matches!(first.snapshot(LogOffset(2)), Err(StoreError::Conflict { .. })), "the first is told");
    second.update(key(1, 1), &mut |value| value.push(3)).unwrap();
    second.snapshot(LogOffset(3)).unwrap();
    drop((first, second));
    assert_eq!(value(&open(&at), key(1, 1)), Some(vec![1, 3]));
}

#[test]
#[ignore = "needs Redis: tools/test backends"]
fn a_flushed_server_is_noticed_and_rebuilt_from_the_start() {
    let at = at("flushed");
    let store = open(&at);
    store.update(key(1, 1), &mut |value| value.push(1)).unwrap();
    store.snapshot(LogOffset(1)).unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg(format!("{}*", own_name("flushed"))).query(&mut raw()).unwrap();
    let () = redis::cmd("DEL").arg(keys).query(&mut raw()).unwrap();
    store.update(key(1, 2), &mut |value| value.push(2)).unwrap();
    assert!(matches!(store.size(), Err(StoreError::Conflict { .. })));
    assert_eq!(open(&at).restored_at(), None, "the log is replayed from its beginning");
}

#[test]
#[ignore = "needs Redis: tools/test backends"]
fn broken_connections_and_lost_scripts_are_mended() {
    let store = open(&at("mended"));
    for round in 1..=3 {
        let () = redis::cmd("SCRIPT").arg("FLUSH").query(&mut raw()).unwrap();
        let _: Result<u64, _> =
            redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes").query(&mut raw());
        store.update(key(1, 1), &mut |value| value.push(round)).unwrap();
        assert_eq!(store.size().unwrap(), (1, round.into()));
    }
}

#[test]
#[ignore = "needs Redis: tools/test backends"]
fn values_are_bounded_and_expire() {
    let store = open(&format!("{}&max_value_bytes=1024&expire_days=2", at("bounded")));
    let grow = store.update(key(1, 1), &mut |value| value.resize(1_025, 1));
    assert!(
        matches!(&grow, Err(error @ StoreError::TooLarge { .. }) if error.to_string().contains("max_value_bytes")),
        "{grow:?}"
    );
    assert_eq!(value(&store, key(1, 1)), None);
    store.update(key(1, 1), &mut |value| value.resize(1_024, 1)).unwrap();
    store.size().unwrap();
    let name = format!("{}:{{{:032x}}}:1", own_name("bounded"), key(1, 1).id);
    let left: i64 = redis::cmd("TTL").arg(name).query(&mut raw()).unwrap();
    assert!((86_400..=2 * 86_400).contains(&left), "{left}");
}

#[test]
#[ignore = "needs Redis: tools/test backends"]
fn what_is_wrong_is_said() {
    let good = service("ONLINE");
    let open = |text: &str| RedisOnlineStore::open(&address(text));
    let server = good.rsplit_once('@').unwrap().1;
    refusal(open(&format!("redis://:secret-wrong@{server}")), "check user and password");
    refusal(open(&format!("redis://{server}")), "check user and password");
    refusal(open(&format!("redis://:secret@127.0.0.1:{}/0", closed_port())), "check host, port");
    refusal(open(&format!("{good}?prefix=a:b")), "letters, digits");
    refusal(open(&format!("{good}?pool=0")), "1 to 1000");
    // A user who may only look.
    let mut admin = raw();
    let () = redis::cmd("ACL")
        .arg(&["SETUSER", "looker", "on", ">secret-looker", "~*", "+info", "+@connection"])
        .query(&mut admin)
        .unwrap();
    refusal(open(&format!("redis://looker:secret-looker@{server}")), "ACL SETUSER");
}
