//! What must be true in the end, whatever went wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use merx_domain::{Event, EventId, Purposes};
use merx_features::{ARM_SPACE, FeatureStore, PRODUCT_SPACE, SEARCH_SPACE, SUBJECT_SPACE};
use merx_store::embedded::MemoryOnlineStore;
use merx_store::{EventLog, OnlineKey, OnlineStore};

use super::clients::{VISITORS, visitor_id};
use super::process::POLICY;
use super::world::{PROCESSES, World};

type Held = BTreeMap<OnlineKey, Vec<u8>>;

fn held(store: &dyn OnlineStore) -> Held {
    let mut held = Held::new();
    for space in [SUBJECT_SPACE, PRODUCT_SPACE, ARM_SPACE, SEARCH_SPACE] {
        store.scan(space, &mut |id, value| drop(held.insert(OnlineKey { space, id }, value.to_vec()))).unwrap();
    }
    held
}

/// Looks at a world in which all is well again.
pub(super) fn judge(world: &Arc<World>) {
    let Some(leader) = world.leader() else { return world.break_off("not exactly one process leads".to_owned()) };
    let events: Vec<Event> = world.log.read(None, usize::MAX).unwrap().into_iter().map(|(_, event)| event).collect();
    let mut places: BTreeMap<EventId, Vec<usize>> = BTreeMap::new();
    for (place, event) in events.iter().enumerate() {
        places.entry(event.id).or_default().push(place);
    }
    stored_once_and_in_order(world, &places);
    absorbed_are_never_seen_again(world, &events);

    let process = world.process(leader).unwrap();
    let replayed: Arc<dyn OnlineStore> = Arc::new(MemoryOnlineStore::volatile());
    let features = FeatureStore::new(Arc::clone(&replayed));
    let directory = process.projection.directory.read();
    events.iter().for_each(|event| features.apply(event, &*directory).unwrap());
    let (live, again) = (held(&*process.online), held(&*replayed));
    if let Some(key) = live.keys().chain(again.keys()).find(|key| live.get(key) != again.get(key)) {
        let size = |of: &Held| of.get(key).map(Vec::len);
        let (live, again) = (size(&live), size(&again));
        return world.break_off(format!("{key:?} is not what the log says: {live:?} bytes, replayed {again:?}"));
    }
    let now = world.now();
    for visitor in 0..VISITORS {
        for slot in 0..PROCESSES {
            let process = world.process(slot).unwrap();
            let decided = process.decide(&visitor_id(visitor), u128::MAX - visitor as u128, now);
            let Some(subject) = decided.subject else { continue };
            let grant = POLICY.check(subject, world_consent(world, leader, subject));
            let expected = features.subject(&grant, now, &*directory).unwrap();
            if decided.decision.answer != expected {
                let told = decided.decision.granted.contains(Purposes::PERSONALISATION);
                let words = "answers from something else than what the log says of visitor";
                return world.break_off(format!("process {slot} {words} {visitor} (personal: {told})"));
            }
        }
    }
}

fn world_consent(world: &World, leader: usize, subject: merx_domain::SubjectId) -> merx_domain::ConsentStamp {
    world.process(leader).unwrap().ingest.consents.of(subject).unwrap()
}

/// What was acknowledged is there once, a visitor's batches in the order in which each followed upon the answer to another.
fn stored_once_and_in_order(world: &World, places: &BTreeMap<EventId, Vec<usize>>) {
    if let Some((id, times)) = places.iter().find(|(_, times)| times.len() > 1) {
        world.break_off(format!("{id:?} is in the log {} times", times.len()));
    }
    let clients = world.clients.lock();
    for (number, visitor) in clients.visitors.iter().enumerate() {
        let mut ends = Vec::new();
        for batch in &visitor.taken {
            let Some(of_batch) = batch.ids.iter().map(|id| places.get(id).map(|at| at[0])).collect::<Option<Vec<_>>>()
            else {
                return world.break_off(format!("visitor {number}: something acknowledged is lost"));
            };
            if !of_batch.is_sorted() {
                return world.break_off(format!("visitor {number}: a batch is out of order"));
            }
            let before: Option<&usize> = ends[..batch.after].iter().max();
            if before.is_some_and(|before| *before > of_batch[0]) {
                return world.break_off(format!("visitor {number}: a batch stands before one that it followed"));
            }
            ends.push(of_batch[of_batch.len() - 1]);
        }
    }
}

fn absorbed_are_never_seen_again(world: &World, events: &[Event]) {
    for (place, event) in events.iter().enumerate() {
        if let Some(absorbed) = event.merged_from
            && events[place..].iter().any(|later| later.subject == absorbed)
        {
            return world.break_off(format!("an event of {absorbed:?} stands behind its absorption"));
        }
    }
}
