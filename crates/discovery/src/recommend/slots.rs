//! Fills one slot: whom to ask for candidates, what to leave out, and why each product stands there.

use merx_domain::{
    Candidate, EventMeaning, Goal, HistoryEntry, Overruled, ProductNumber, Reason, SECOND_MS, Scenario, Shelf,
    Situation, Slot, SubjectFeatures,
};
use merx_models::{Contribution, Interaction, OpenQuery, Query, Scored};
use rustc_hash::FxHashSet;

use crate::recommend::model::{RecommendModel, Role};
use crate::recommend::select::{Eligible, select};

/// How many products a slot without a model's candidates lists at most.
const LISTING: usize = 400;
/// Upsell: how much dearer an alternative may be.
const UPSELL_FROM: f32 = 1.05;
const UPSELL_TO: f32 = 2.5;
/// How many entries explain a product.
const REASONS: usize = 3;
/// What taste weighs beside newness among what is new.
const TASTE_IN_NEW: f32 = 0.5;

/// One slot in the making.
pub(super) struct SlotFiller<'a> {
    pub(super) situation: &'a Situation,
    pub(super) features: &'a SubjectFeatures,
    pub(super) shelf: &'a dyn Shelf,
    pub(super) model: Option<&'a RecommendModel>,
    pub(super) slot_number: usize,
    pub(super) slot: &'a Slot,
    pub(super) goal: Goal,
    /// What merchants' rules hide and pin here.
    pub(super) overruled: &'a Overruled,
    /// Products that earlier slots show.
    pub(super) used: &'a FxHashSet<u32>,
    /// Products that later slots show, because a merchant pinned them there.
    pub(super) reserved: &'a FxHashSet<u32>,
}

impl SlotFiller<'_> {
    /// By the models, personal where they are.
    pub(super) fn fill(&self) -> Vec<Candidate> {
        match self.slot.scenario {
            Scenario::RecentlyViewed => self.recently_viewed(),
            Scenario::New => self.newest(),
            scenario => self.ask_in_turn(roles(scenario, self.goal)),
        }
    }

    /// By popularity alone, where the scenario's own models are not to be asked.
    pub(super) fn fill_popular(&self) -> Vec<Candidate> {
        match self.slot.scenario {
            Scenario::RecentlyViewed => self.recently_viewed(),
            Scenario::Trending => self.ask_in_turn(&[Role::Trending, Role::Popular]),
            _ => self.ask_in_turn(&[Role::Popular]),
        }
    }

    /// From the list that a merchant made, in its order, then from the catalogue.
    pub(super) fn fill_listed(&self) -> Vec<Candidate> {
        let mut shown = Vec::new();
        self.take_listed(&self.shelf.static_list(self.slot_number), &mut shown);
        if shown.len() < self.slot.count {
            self.take_listed(&self.shelf.listing(self.slot_number, LISTING), &mut shown);
        }
        shown
    }

    fn take_listed(&self, list: &[ProductNumber], shown: &mut Vec<Candidate>) {
        for product in list {
            if shown.len() == self.slot.count {
                return;
            }
            let open = !self.left_out(product.0) && !shown.iter().any(|candidate| candidate.product == *product);
            if open && self.shelf.fact(self.slot_number, *product).blocked.is_none() {
                shown.push(Candidate { product: *product, score: 0.0, reasons: vec![Reason::Listed] });
            }
        }
    }

    /// Asks the roles in turn until the slot is full.
    fn ask_in_turn(&self, roles: &[Role]) -> Vec<Candidate> {
        let mut shown: Vec<Candidate> = Vec::new();
        for role in roles {
            if shown.len() >= self.slot.count {
                break;
            }
            if self.has_anything_to_say(*role) {
                self.ask(*role, &mut shown);
            }
        }
        shown
    }

    /// Of somebody of whom nothing is known a personal model has nothing to say that popularity doesn't say better: it
    /// learnt from people who had done something.
    fn has_anything_to_say(&self, role: Role) -> bool {
        role != Role::ForYou || !self.features.history.is_empty() || !self.slot.products.is_empty()
    }

    fn ask(&self, role: Role, shown: &mut Vec<Candidate>) {
        let Some(member) = self.model.and_then(|model| model.member(role)) else { return };
        let history = self.history(role);
        let seeds: Vec<u32> = self.seeds(role);
        let session_start = self.session_start(&history);
        let query = self.query(&history, session_start, &seeds);
        let mut open = member.open(&query);
        let mut found = Vec::new();
        open.candidates(self.pool_size(), &mut found);
        self.keep(role, open.as_mut(), found, shown);
    }

    fn query<'q>(&self, history: &'q [Interaction], session_start: usize, seeds: &'q [u32]) -> Query<'q> {
        let market = self.model.map_or(0, |model| model.market(&self.situation.market));
        Query { history, session_start, seeds, now_s: self.situation.now.seconds(), market }
    }

    /// Best first, what may be shown only, boosted, varied, explained.
    fn keep(&self, role: Role, open: &mut dyn OpenQuery, mut found: Vec<Scored>, shown: &mut Vec<Candidate>) {
        found.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.item.cmp(&b.item)));
        found.dedup_by_key(|scored| scored.item);
        let seed_price = self.seed_price();
        let mut pool: Vec<Eligible> = Vec::new();
        for scored in found {
            let known = shown.iter().any(|candidate| candidate.product.0 == scored.item);
            if known || self.left_out(scored.item) || self.seen(role, scored.item) || scored.score <= 0.0 {
                continue;
            }
            let fact = self.shelf.fact(self.slot_number, ProductNumber(scored.item));
            let dear_enough = self.slot.scenario != Scenario::Upsell || {
                let ratio = fact.price_minor as f32 / seed_price.max(1) as f32;
                seed_price > 0 && (UPSELL_FROM..=UPSELL_TO).contains(&ratio)
            };
            if fact.blocked.is_none() && dear_enough {
                let labels = self.model.map(|model| model.labels(scored.item)).unwrap_or_default();
                let worth = match self.goal {
                    Goal::Interest => scored.score,
                    Goal::Revenue => open.likelihood(scored.score) * fact.price_minor.max(1) as f32,
                };
                pool.push(Eligible { item: scored.item, score: worth * fact.boost, labels });
            }
        }
        if self.goal == Goal::Revenue {
            // Beside the best: neither scale means anything outside this list.
            let best = pool.iter().map(|eligible| eligible.score).fold(f32::MIN_POSITIVE, f32::max);
            pool.iter_mut().for_each(|eligible| eligible.score /= best);
        }
        pool.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.item.cmp(&b.item)));
        for chosen in select(&pool, self.slot.count - shown.len(), self.slot.diversity) {
            let reasons = self.reasons(role, open, chosen);
            shown.push(Candidate { product: ProductNumber(chosen.item), score: chosen.score, reasons });
        }
    }

    fn reasons(&self, role: Role, open: &mut dyn OpenQuery, chosen: Eligible) -> Vec<Reason> {
        match role {
            Role::Popular => vec![Reason::Popular { weight: chosen.score }],
            Role::Trending => vec![Reason::Trending { weight: chosen.score }],
            Role::BuyAgain => vec![self.due_again(chosen.item)],
            Role::ForYou | Role::Uptake | Role::Session | Role::Similar | Role::Alike | Role::Together => {
                let parts = open.explain(chosen.item, REASONS);
                let reasons: Vec<Reason> = parts.iter().filter_map(|part| reason(role, part)).collect();
                if reasons.is_empty() { vec![Reason::Popular { weight: chosen.score }] } else { reasons }
            }
        }
    }

    fn due_again(&self, item: u32) -> Reason {
        let bought: Vec<i64> = self.entries_of(item, EventMeaning::Purchased).map(|entry| entry.at.0).collect();
        let days = |ms: i64| ms as f32 / merx_domain::DAY_MS as f32;
        let (first, last) = (bought.first().copied().unwrap_or(0), bought.last().copied().unwrap_or(0));
        let intervals = bought.len().saturating_sub(1).max(1) as f32;
        Reason::DueAgain {
            interval_days: days(last - first) / intervals,
            elapsed_days: days((self.situation.now.0 - last).max(0)),
        }
    }

    fn recently_viewed(&self) -> Vec<Candidate> {
        let mut shown: Vec<Candidate> = Vec::new();
        for entry in self.features.history.iter().rev() {
            if shown.len() == self.slot.count {
                break;
            }
            let interest = matches!(entry.meaning, EventMeaning::Viewed | EventMeaning::Carted);
            let known = shown.iter().any(|candidate| candidate.product == entry.product);
            if !interest || known || self.left_out(entry.product.0) {
                continue;
            }
            if self.shelf.fact(self.slot_number, entry.product).blocked.is_none() {
                let reasons = vec![Reason::Viewed { product: entry.product, weight: 1.0 }];
                shown.push(Candidate { product: entry.product, score: 1.0, reasons });
            }
        }
        shown
    }

    /// The newest products, those nearest to the person first.
    fn newest(&self) -> Vec<Candidate> {
        let listing: Vec<ProductNumber> = self
            .shelf
            .listing(self.slot_number, LISTING.min(self.slot.count * 5))
            .into_iter()
            .filter(|product| !self.left_out(product.0))
            .collect();
        let items: Vec<u32> = listing.iter().map(|product| product.0).collect();
        let mut scores = vec![0.0; items.len()];
        if let Some(member) = self.model.and_then(|model| model.member(Role::ForYou)) {
            let history = self.history(Role::ForYou);
            let query = self.query(&history, self.session_start(&history), &[]);
            member.open(&query).score(&items, &mut scores);
        }
        let best = scores.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
        let mut pool: Vec<Eligible> = Vec::new();
        let mut ages = Vec::new();
        for (place, (product, score)) in listing.iter().zip(&scores).enumerate() {
            let fact = self.shelf.fact(self.slot_number, *product);
            if fact.blocked.is_some() {
                continue;
            }
            let newness = 1.0 - place as f32 / listing.len() as f32;
            let labels = self.model.map(|model| model.labels(product.0)).unwrap_or_default();
            pool.push(Eligible {
                item: product.0,
                score: (newness + TASTE_IN_NEW * score / best) * fact.boost,
                labels,
            });
            ages.push((product.0, self.situation.now.since(fact.created_at) as f32 / merx_domain::DAY_MS as f32));
        }
        pool.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.item.cmp(&b.item)));
        let age_of = |item: u32| ages.iter().find(|(known, _)| *known == item).map_or(0.0, |(_, age_days)| *age_days);
        select(&pool, self.slot.count, self.slot.diversity)
            .into_iter()
            .map(|chosen| Candidate {
                product: ProductNumber(chosen.item),
                score: chosen.score,
                reasons: vec![Reason::New { age_days: age_of(chosen.item) }],
            })
            .collect()
    }

    /// Whether a product may stand where a merchant pinned it: it is on sale here, and not on the page already.
    pub(super) fn may_be_pinned(&self, product: ProductNumber) -> bool {
        !self.is_out(product.0) && self.shelf.fact(self.slot_number, product).blocked.is_none()
    }

    fn left_out(&self, item: u32) -> bool {
        self.reserved.contains(&item) && !self.overruled.pins(ProductNumber(item)) || self.is_out(item)
    }

    fn is_out(&self, item: u32) -> bool {
        self.used.contains(&item)
            || self.overruled.hidden.iter().any(|product| product.0 == item)
            || self.slot.exclude.iter().any(|product| product.0 == item)
            || self.slot.products.iter().any(|product| product.0 == item)
    }

    /// Discovery shows nothing again that is in the history, a session's continuation nothing of this session. What was looked at and
    /// left may be taken up after all.
    fn seen(&self, role: Role, item: u32) -> bool {
        let from = match self.slot.scenario {
            Scenario::ForYou if role == Role::Uptake => {
                return self.entries_of(item, EventMeaning::Purchased).next().is_some();
            }
            Scenario::ForYou if role != Role::BuyAgain => 0,
            Scenario::ContinueSession => {
                let start = self.features.session_started_at;
                start.map_or(0, |start| self.features.history.partition_point(|entry| entry.at < start))
            }
            _ => return false,
        };
        self.features.history[from..].iter().any(|entry| entry.product.0 == item)
    }

    fn entries_of(&self, item: u32, meaning: EventMeaning) -> impl Iterator<Item = &HistoryEntry> {
        self.features.history.iter().filter(move |entry| entry.product.0 == item && entry.meaning == meaning)
    }

    fn history(&self, role: Role) -> Vec<Interaction> {
        let entries: &[HistoryEntry] = match role {
            // Questions about products are answered from those products.
            Role::Similar | Role::Alike | Role::Together => &[],
            Role::Session => {
                let start = self.features.session_started_at;
                let history = &self.features.history;
                let from = start.map_or(0, |start| history.partition_point(|entry| entry.at < start));
                &history[from..]
            }
            _ => &self.features.history,
        };
        entries
            .iter()
            .map(|entry| Interaction {
                item: entry.product.0,
                at_s: entry.at.0.div_euclid(SECOND_MS),
                meaning: entry.meaning,
            })
            .collect()
    }

    fn session_start(&self, history: &[Interaction]) -> usize {
        let start = self.features.session_started_at.map_or(i64::MAX, |start| start.seconds());
        history.partition_point(|entry| entry.at_s < start)
    }

    fn seeds(&self, role: Role) -> Vec<u32> {
        let asked = !matches!(role, Role::Popular | Role::Trending | Role::BuyAgain);
        if asked { self.slot.products.iter().map(|product| product.0).collect() } else { Vec::new() }
    }

    /// Enough that guardrails, boosts and variety leave a full slot in the ordinary case, and that a dear product less likely taken up is
    /// among them where revenue is the goal.
    fn pool_size(&self) -> usize {
        let (places, fewest) = match self.goal {
            Goal::Interest => (4, 60),
            Goal::Revenue => (20, 300),
        };
        let left_out = self.features.history.len() + self.slot.exclude.len() + self.used.len();
        (self.slot.count * places + left_out).clamp(fewest, 1_000)
    }

    /// Mean price of the slot's products, in minor units; 0 where unknown or not needed.
    fn seed_price(&self) -> i64 {
        if self.slot.scenario != Scenario::Upsell || self.slot.products.is_empty() {
            return 0;
        }
        let prices = self.slot.products.iter().map(|product| self.shelf.fact(self.slot_number, *product).price_minor);
        prices.sum::<i64>() / self.slot.products.len() as i64
    }
}

/// Whom to ask, the best placed first. Popularity fills what is left, but for slots that promise something it can't
/// keep: an alternative, a dearer one, or a product due again.
fn roles(scenario: Scenario, goal: Goal) -> &'static [Role] {
    match scenario {
        // What is looked at next is not what brings most: that is what is taken up though nobody asked for it.
        Scenario::ForYou if goal == Goal::Revenue => &[Role::Uptake, Role::ForYou, Role::Popular],
        Scenario::ForYou => &[Role::ForYou, Role::Popular],
        Scenario::Similar => &[Role::Similar, Role::Alike],
        Scenario::Upsell => &[Role::Similar, Role::Alike],
        Scenario::BoughtTogether => &[Role::Together],
        Scenario::CompleteBasket => &[Role::Together, Role::Session, Role::Popular],
        Scenario::ContinueSession => &[Role::Session, Role::ForYou, Role::Popular],
        Scenario::Trending => &[Role::Trending, Role::Popular],
        Scenario::Popular => &[Role::Popular],
        Scenario::BuyAgain => &[Role::BuyAgain],
        Scenario::New | Scenario::RecentlyViewed => &[],
    }
}

fn reason(role: Role, part: &Contribution) -> Option<Reason> {
    let (product, weight) = (ProductNumber(part.item), part.weight);
    match (part.meaning, role) {
        (None, Role::Together) => Some(Reason::BoughtWith { product, weight }),
        (None, _) => Some(Reason::SimilarTo { product, weight }),
        (Some(EventMeaning::Purchased), _) => Some(Reason::Bought { product, weight }),
        (Some(EventMeaning::Carted), _) => Some(Reason::Carted { product, weight }),
        (Some(EventMeaning::Viewed), _) => Some(Reason::Viewed { product, weight }),
        (Some(_), _) => None,
    }
}
