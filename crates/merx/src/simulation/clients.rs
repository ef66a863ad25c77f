//! Shoppers and their browsers: what they send, what they are told, and what they may believe then.

use std::sync::Arc;

use merx_domain::{ConsentStamp, Currency, EventId, MarketId, Purposes, SubjectFeatures, TimestampMs};
use merx_ingest::segment::{self, Call};
use merx_ingest::{Arrival, Identities, RawEvent, Rules};
use merx_store::EventLog;

use super::world::{Lane, World};

/// Visitors, one browser each. Two each sign in as the same customer.
pub(super) const VISITORS: usize = 4;
const PRODUCTS: usize = 9;
/// Batches of a visitor that wait for an answer at most.
const MOST_PENDING: usize = 3;

/// Events that are sent together, again and again until somebody says that they are taken.
pub(super) struct Batch {
    body: String,
    pub(super) ids: Vec<EventId>,
    /// Batches that this visitor knew to be taken when it was first sent.
    pub(super) after: usize,
}

/// What somebody said of the use of their data, and what they were told.
struct Word {
    allows: bool,
    said_at: TimestampMs,
    /// `None`: it may be under way still.
    over_at: Option<TimestampMs>,
    acknowledged: bool,
}

#[derive(Default)]
pub(super) struct Visitor {
    /// First sent in this order.
    pub(super) taken: Vec<Batch>,
    pending: Vec<Arc<Batch>>,
    words: Vec<Word>,
    sent: usize,
}

pub(super) struct Clients {
    pub(super) visitors: [Visitor; VISITORS],
    pub(super) decisions: u128,
    pub(super) personal: u64,
    pub(super) refused: u64,
}

impl Default for Clients {
    fn default() -> Self {
        Self { visitors: std::array::from_fn(|_| Visitor::default()), decisions: 0, personal: 0, refused: 0 }
    }
}

pub(super) fn visitor_id(visitor: usize) -> String {
    format!("visitor-{visitor}")
}

fn customer_of(visitor: usize) -> usize {
    visitor / 2
}

fn raw(body: &str, at: TimestampMs) -> Vec<RawEvent> {
    let arrival =
        Arrival { received_at: at, scope: "key", vouched: true, global_privacy_control: false, user_agent: None };
    let read = segment::read(body.as_bytes(), Call::Batch, &arrival, &Rules::new(Currency::EUR)).unwrap();
    read.into_iter().map(Result::unwrap).collect()
}

impl Clients {
    /// A visitor sends what is new, or again what no answer came for, or what was taken already.
    pub(super) fn send(world: &Arc<World>, slot: usize) {
        let visitor = world.below(VISITORS);
        let (body, batch) = Self::choose(world, visitor);
        world.tell(|| format!("visitor {visitor} sends {} to {slot}", marks(&body)));
        // The answer may be lost between the process and the browser too.
        let heard = Self::take(world, slot, |at| raw(&body, at)) && (world.is_calm() || world.chance(0.95));
        world.tell(|| {
            format!("visitor {visitor} {} {}", if heard { "is told of" } else { "hears nothing of" }, marks(&body))
        });
        let Some(batch) = batch.filter(|_| heard) else { return };
        if let Some(lost) = batch.ids.iter().find(|id| !world.log.contains(**id).unwrap()) {
            world.break_off(format!("{} were acknowledged, and {lost:?} is not in the log", marks(&body)));
        }
        let visitor = &mut world.clients.lock().visitors[visitor];
        let before = visitor.pending.len();
        visitor.pending.retain(|pending| pending.ids != batch.ids);
        // It was sent twice at once, and the other one was heard of before.
        if visitor.pending.len() < before {
            visitor.taken.push(Batch { body, ids: batch.ids.clone(), after: batch.after });
        }
    }

    /// What is sent; `None` beside it where it is a repetition for nothing.
    fn choose(world: &Arc<World>, visitor: usize) -> (String, Option<Arc<Batch>>) {
        let (new, again, any) = (world.chance(0.5), world.chance(0.15), world.below(1_000));
        {
            let visitor = &world.clients.lock().visitors[visitor];
            if again && !visitor.taken.is_empty() {
                return (visitor.taken[any % visitor.taken.len()].body.clone(), None);
            }
            if !visitor.pending.is_empty() && (!new || visitor.pending.len() >= MOST_PENDING || world.is_calm()) {
                let batch = &visitor.pending[any % visitor.pending.len()];
                return (batch.body.clone(), Some(Arc::clone(batch)));
            }
        }
        let events = 1 + world.below(3);
        let number = world.clients.lock().visitors[visitor].sent;
        let events: Vec<String> = (0..events).map(|event| Self::event(world, visitor, number, event)).collect();
        let body = format!(r#"{{"batch":[{}]}}"#, events.join(","));
        let ids = raw(&body, world.now()).iter().map(|event| event.draft().id).collect();
        let visitor = &mut world.clients.lock().visitors[visitor];
        visitor.sent += 1;
        let batch = Arc::new(Batch { body: body.clone(), ids, after: visitor.taken.len() });
        visitor.pending.push(Arc::clone(&batch));
        (body, Some(batch))
    }

    fn event(world: &Arc<World>, visitor: usize, batch: usize, number: usize) -> String {
        let kind = ["Product Viewed", "Product Viewed", "Product Clicked", "Product Added"][world.below(4)];
        let product = world.below(PRODUCTS);
        let customer = if world.chance(0.08) {
            format!(r#""userId":"customer-{}","#, customer_of(visitor))
        } else {
            String::new()
        };
        format!(
            r#"{{"type":"track","event":"{kind}","messageId":"{visitor}.{batch}.{number}",{customer}"anonymousId":"{}","properties":{{"product_id":"p{product}"}}}}"#,
            visitor_id(visitor)
        )
    }

    /// A visitor allows to be known, or refuses.
    pub(super) fn speak(world: &Arc<World>, slot: usize) {
        let (visitor, allows) = (world.below(VISITORS), world.chance(0.5));
        let said_at = world.now();
        let word = {
            let words = &mut world.clients.lock().visitors[visitor].words;
            words.push(Word { allows, said_at, over_at: None, acknowledged: false });
            words.len() - 1
        };
        world.tell(|| format!("visitor {visitor} says {} to {slot}", if allows { "yes" } else { "no" }));
        let purpose = Purposes::PERSONALISATION;
        let stamp = match allows {
            true => ConsentStamp { granted: purpose, ..Default::default() },
            false => ConsentStamp { denied: purpose, ..Default::default() },
        };
        let names = || Identities { anonymous_id: Some(visitor_id(visitor).into()), ..Default::default() };
        let heard = Self::take(world, slot, |at| vec![RawEvent::consent(names(), stamp, MarketId::default(), at)]);
        world.tell(|| format!("visitor {visitor} {}", if heard { "is told that it counts" } else { "hears nothing" }));
        let word = &mut world.clients.lock().visitors[visitor].words[word];
        (word.over_at, word.acknowledged) = (Some(world.now()), heard);
    }

    /// Hands events to a process, which hands them on where another leads. Whether they were acknowledged.
    fn take(world: &Arc<World>, slot: usize, events: impl FnOnce(TimestampMs) -> Vec<RawEvent>) -> bool {
        let Some(to) = world.address_of_lead(slot) else { return false };
        if world.address_of_lead(to) != Some(to) {
            return false;
        }
        let at = world.now_at(to);
        match world.run(to, Lane::Intake, |process| process.take(events(at), at)) {
            Some((Ok(_), alive)) => alive,
            Some((Err(error), _)) => {
                world.tell(|| format!("process {to}: {error:#}"));
                false
            }
            None => false,
        }
    }

    /// Whether this visitor was told that they are not known any more, and nobody who may be the same person has said
    /// otherwise since.
    fn has_refused(&self, visitor: usize) -> bool {
        let refused = |word: &&Word| !word.allows && word.acknowledged;
        let Some(refused) = self.visitors[visitor].words.iter().rev().find(refused) else { return false };
        let same = (0..VISITORS).filter(|other| customer_of(*other) == customer_of(visitor));
        let mut others = same.flat_map(|other| &self.visitors[other].words);
        !others.any(|word| word.allows && word.over_at.is_none_or(|over| over >= refused.said_at))
    }

    /// Words for yes of all who may be this person.
    fn allowed(&self, visitor: usize) -> usize {
        let same = (0..VISITORS).filter(|other| customer_of(*other) == customer_of(visitor));
        same.flat_map(|other| &self.visitors[other].words).filter(|word| word.allows).count()
    }

    /// A visitor comes back, and is shown what follows from what is known of them.
    pub(super) fn ask(world: &Arc<World>, slot: usize) {
        let visitor = world.below(VISITORS);
        let (refused, allowed, id) = {
            let mut clients = world.clients.lock();
            clients.decisions += 1;
            (clients.has_refused(visitor), clients.allowed(visitor), clients.decisions)
        };
        let now = world.now_at(slot);
        let asked = world.run(slot, Lane::Reader, |process| process.decide(&visitor_id(visitor), id, now));
        let Some((decided, _)) = asked else { return };
        // Nor has anybody said otherwise meanwhile.
        let refused = refused && world.clients.lock().allowed(visitor) == allowed;
        let personal = decided.decision.granted.contains(Purposes::PERSONALISATION);
        let knows = decided.decision.answer != SubjectFeatures::default();
        world.tell(|| {
            format!(
                "visitor {visitor} asks {slot} ({}): {}",
                if refused { "refused" } else { "" },
                if knows { "known" } else { "not known" }
            )
        });
        {
            let mut clients = world.clients.lock();
            clients.personal += u64::from(knows);
            clients.refused += u64::from(refused);
        }
        if knows && !personal {
            world.break_off(format!("visitor {visitor} is known to the engine without a grant"));
        }
        if refused && (personal || knows) {
            world.break_off(format!("visitor {visitor} has refused, was told so, and is known to process {slot}"));
        }
    }

    /// Until everything is taken that anybody has.
    pub(super) fn send_the_rest(world: &Arc<World>) {
        let waiting = || world.clients.lock().visitors.iter().map(|visitor| visitor.pending.len()).sum::<usize>();
        for turn in 0..10_000 {
            if waiting() == 0 {
                return;
            }
            Self::send(world, turn % super::world::PROCESSES);
        }
        world.break_off(format!("{} batches are not taken though all is well", waiting()));
    }
}

fn marks(body: &str) -> String {
    body.split("messageId\":\"").skip(1).filter_map(|rest| rest.split('"').next()).collect::<Vec<_>>().join(" ")
}
