//! What could be known of a shopper at best: beliefs about their hidden tastes by Bayes' rule, from what they did before the shop's eyes
//! and from the planted model itself. It parts what nobody could know from what a shop fails to learn.
//!
//! Which kinds they look into tells of what they want, which products of a list they open and take tells of their taste. A priori the two
//! are independent, and so they are drawn apart (Metropolis within Gibbs). Left out, because it tells little: newsletters' products,
//! what was not opened on a strip of many kinds, gifts.

use merx_domain::{Event, EventKind, ProductNumber};
use merx_numeric::rng::Rng;

use crate::catalogue::{Item, TASTE_DIMENSIONS};
use crate::draw::Draw;
use crate::session::still_wanted;
use crate::shopper::{HOBBY_STEPS, Taste, department_weight, draw_price_level, hobby_of_step};
use crate::truth::{LOOK_ON, Truth, cart_probability, click_probability, interest};
use crate::vocabulary::{DEPARTMENTS, KINDS};

/// Newest looks that a taste is learnt from.
const LOOKS: usize = 300;
const TASTE_STEPS: usize = 1_200;
const TASTE_SAMPLES: usize = 120;
const KIND_SWEEPS: usize = 300;
const KIND_SAMPLES: usize = 200;

/// A product of a list that somebody had before them.
#[derive(Debug, Clone, Copy)]
struct Look {
    product: ProductNumber,
    /// What the day added to its utility.
    lift: f32,
    opened: bool,
    taken: bool,
}

/// What somebody did before the shop's eyes.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// How often they looked into a kind.
    kinds: Vec<(usize, f32)>,
    /// Lists of one kind, oldest first.
    lists: Vec<Vec<Look>>,
}

impl Observed {
    /// Adds a visit, its events in the order of time.
    pub fn add(&mut self, truth: &Truth, events: &[Event]) {
        let shop = truth.shop;
        let named = |event: &Event| event.lines.first().and_then(|line| shop.product_number(&line.product));
        let of = |kind: EventKind| events.iter().filter(move |event| event.kind == kind);
        let opened: Vec<_> =
            of(EventKind::ProductClicked).filter_map(|event| Some((event.list.as_deref()?, named(event)?))).collect();
        let taken: Vec<_> = of(EventKind::ProductAdded).filter_map(named).collect();
        let mut last_list = None;
        let mut done: Vec<ProductNumber> = Vec::new();
        for event in of(EventKind::ProductListViewed) {
            let Some(list) = event.list.as_deref().filter(|list| *list != "home/popular") else { continue };
            let products = event.lines.iter().filter_map(|line| shop.product_number(&line.product));
            let mut looks: Vec<Look> = Vec::new();
            for product in products.filter(|product| !done.contains(product)) {
                let Some(item) = shop.catalogue.item(product) else { continue };
                let opened = opened.contains(&(list, product));
                let lift = truth.day.lift(product, item);
                looks.push(Look { product, lift, opened, taken: opened && taken.contains(&product) });
            }
            done.extend(looks.iter().filter(|look| look.opened).map(|look| look.product));
            let kind = looks.first().and_then(|look| shop.catalogue.item(look.product)).map(|item| item.kind);
            // A second page and products like the one at hand go on with the same wish.
            if let Some(kind) = kind.filter(|_| list != "similar" && last_list != Some((list, kind))) {
                self.look_into(usize::from(kind));
                last_list = Some((list, Some(kind)));
            }
            self.lists.push(looks);
        }
    }

    fn look_into(&mut self, kind: usize) {
        match self.kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1.0,
            None => self.kinds.push((kind, 1.0)),
        }
    }

    /// The newest lists with about `LOOKS` looks in all.
    fn newest(&self) -> &[Vec<Look>] {
        let mut looks = 0;
        let from = self.lists.iter().rposition(|list| {
            looks += list.len();
            looks > LOOKS
        });
        &self.lists[from.map_or(0, |from| from + 1)..]
    }
}

impl Truth<'_> {
    /// The strip that brings most, as far as anybody can tell who knows every product, how tastes are spread and what this shopper did,
    /// but not what they hide.
    pub fn worthiest_by_deeds(
        &self,
        market: usize,
        observed: &Observed,
        count: usize,
        owned: &[ProductNumber],
        exclude: &[ProductNumber],
        worth: impl Fn(ProductNumber) -> f32,
        rng: &mut Rng,
    ) -> Vec<ProductNumber> {
        let interests = self.believed_interests(observed, rng);
        let tastes = self.believed_tastes(observed, rng);
        let candidates = self.sold_in(market).filter(|(product, _)| !exclude.contains(product));
        crate::truth::top(count, candidates, |product, item| {
            let lift = self.day.lift(product, item);
            let taken_up = |taste: &Taste| {
                let utility = taste.liking(item) + lift;
                click_probability(utility) * cart_probability(utility)
            };
            let taken_up = tastes.iter().map(taken_up).sum::<f32>();
            let wanted = still_wanted(owned, product, item).powi(2);
            wanted * interests[usize::from(item.kind)] * taken_up * worth(product)
        })
    }

    /// The expected interest in each kind.
    fn believed_interests(&self, observed: &Observed, rng: &mut Rng) -> Vec<f32> {
        let mut wants = Wants::draw(&self.day.demand, rng);
        let mut sums = vec![0.0; KINDS.len()];
        for sweep in 0..KIND_SWEEPS {
            wants.sweep(observed, rng);
            if sweep >= KIND_SWEEPS - KIND_SAMPLES {
                let total = wants.weights.iter().sum();
                sums.iter_mut().enumerate().for_each(|(kind, sum)| *sum += interest(&wants.weights, total, kind));
            }
        }
        sums
    }

    fn believed_tastes(&self, observed: &Observed, rng: &mut Rng) -> Vec<Taste> {
        let lists: Vec<Vec<(&Item, Look)>> = observed.newest().iter().map(|list| self.items_of(list)).collect();
        let mut guess = Guess::draw(rng);
        let mut taste = guess.taste();
        let mut fit = likelihood(&taste, &lists);
        let mut samples = Vec::with_capacity(TASTE_SAMPLES);
        let every = TASTE_STEPS / 2 / TASTE_SAMPLES;
        for step in 0..TASTE_STEPS {
            let next = guess.changed(step, rng);
            let next_taste = next.taste();
            let next_fit = likelihood(&next_taste, &lists);
            if rng.share().max(1e-9).ln() < next_fit - fit {
                (guess, taste, fit) = (next, next_taste, next_fit);
            }
            if step >= TASTE_STEPS / 2 && step % every == 0 {
                samples.push(taste.clone());
            }
        }
        samples
    }

    fn items_of(&self, list: &[Look]) -> Vec<(&Item, Look)> {
        list.iter().filter_map(|look| Some((self.shop.catalogue.item(look.product)?, *look))).collect()
    }
}

/// Logarithm of how likely a taste opens and takes just that. Up to the last product that was opened they looked; how much further is unknown.
fn likelihood(taste: &Taste, lists: &[Vec<(&Item, Look)>]) -> f32 {
    let mut sum = 0.0;
    for list in lists {
        let seen = list.iter().rposition(|(_, look)| look.opened).map_or(0, |last| last + 1);
        let mut likely = 1.0f32;
        for (item, look) in &list[..seen] {
            let utility = taste.liking(item) + look.lift;
            let click = click_probability(utility);
            likely *= match (look.opened, look.taken) {
                (false, _) => 1.0 - click,
                (true, false) => click * (1.0 - cart_probability(utility)),
                (true, true) => click * cart_probability(utility),
            };
        }
        let passed = |rest: f32, (item, look): &(&Item, Look)| {
            (1.0 - click_probability(taste.liking(item) + look.lift)) * (1.0 - LOOK_ON + LOOK_ON * rest)
        };
        let rest = list[seen..].iter().rev().fold(1.0, passed);
        sum += (likely * rest).max(f32::MIN_POSITIVE).ln();
    }
    sum
}

/// A guess at a taste, in the terms in which tastes are drawn.
#[derive(Debug, Clone)]
struct Guess {
    styles: [usize; 2],
    noise: [f32; TASTE_DIMENSIONS],
    price: f32,
    colours: [usize; 2],
    brands: [u8; DEPARTMENTS.len()],
}

impl Guess {
    fn draw(rng: &mut Rng) -> Self {
        Self {
            styles: [rng.below(TASTE_DIMENSIONS), rng.below(TASTE_DIMENSIONS)],
            noise: std::array::from_fn(|_| rng.gauss()),
            price: rng.gauss(),
            colours: [Taste::draw_colour(rng), Taste::draw_colour(rng)],
            brands: std::array::from_fn(|department| Taste::brand(rng.share(), department) as u8),
        }
    }

    /// The same but for one part, which is drawn anew or moved so that its distribution stays.
    fn changed(&self, step: usize, rng: &mut Rng) -> Self {
        const MOVE: f32 = 0.5;
        let moved = |value: f32, rng: &mut Rng| (1.0 - MOVE * MOVE).sqrt() * value + MOVE * rng.gauss();
        let mut next = self.clone();
        match step % 6 {
            0 => next.styles[rng.below(2)] = rng.below(TASTE_DIMENSIONS),
            1 => next.noise.iter_mut().for_each(|value| *value = moved(*value, rng)),
            2 => next.price = moved(next.price, rng),
            3 => next.colours[rng.below(2)] = Taste::draw_colour(rng),
            4 => next.styles.swap(0, 1),
            _ => {
                let department = rng.below(DEPARTMENTS.len());
                next.brands[department] = Taste::brand(rng.share(), department) as u8;
            }
        }
        next
    }

    fn taste(&self) -> Taste {
        Taste {
            direction: Taste::direction(self.styles, &self.noise),
            price_level: draw_price_level(self.price),
            colours: self.colours,
            brands: self.brands,
        }
    }
}

/// A guess at how much each kind is wanted.
struct Wants<'a> {
    demand: &'a [f32],
    wardrobe: f32,
    departments: [f32; DEPARTMENTS.len()],
    hobbies: Vec<usize>,
    /// Of each kind, with the season; follows from the rest.
    weights: Vec<f32>,
}

impl<'a> Wants<'a> {
    fn draw(demand: &'a [f32], rng: &mut Rng) -> Self {
        let mut wants = Self {
            demand,
            wardrobe: rng.gauss(),
            departments: std::array::from_fn(|_| rng.gauss()),
            hobbies: KINDS.iter().map(|_| rng.below(HOBBY_STEPS)).collect(),
            weights: vec![0.0; KINDS.len()],
        };
        (0..DEPARTMENTS.len()).for_each(|department| wants.weigh(department));
        wants
    }

    /// Brings the weights of a department's kinds up to date.
    fn weigh(&mut self, department: usize) {
        let of_department = department_weight(department, self.departments[department], self.wardrobe);
        for (kind, _) in KINDS.iter().enumerate().filter(|(_, kind)| kind.department as usize == department) {
            self.weights[kind] = self.demand[kind] * of_department * hobby_of_step(self.hobbies[kind]);
        }
    }

    fn likelihood(&self, observed: &Observed) -> f32 {
        let total: f32 = self.weights.iter().sum();
        let share = |kind: usize| (self.weights[kind] / total).max(f32::MIN_POSITIVE);
        observed.kinds.iter().map(|(kind, count)| count * share(*kind).ln()).sum()
    }

    /// Offers each part a draw of its own distribution once.
    fn sweep(&mut self, observed: &Observed, rng: &mut Rng) {
        let mut fit = self.likelihood(observed);
        let mut is_taken = |wants: &Self, rng: &mut Rng| {
            let next = wants.likelihood(observed);
            let taken = rng.share().max(1e-9).ln() < next - fit;
            fit = if taken { next } else { fit };
            taken
        };
        let old = std::mem::replace(&mut self.wardrobe, rng.gauss());
        [0, 1].into_iter().for_each(|department| self.weigh(department));
        if !is_taken(self, rng) {
            self.wardrobe = old;
            [0, 1].into_iter().for_each(|department| self.weigh(department));
        }
        for department in 0..DEPARTMENTS.len() {
            let old = std::mem::replace(&mut self.departments[department], rng.gauss());
            self.weigh(department);
            if !is_taken(self, rng) {
                self.departments[department] = old;
                self.weigh(department);
            }
        }
        for kind in 0..KINDS.len() {
            let (old, weight) = (self.hobbies[kind], self.weights[kind]);
            let new = rng.below(HOBBY_STEPS);
            self.hobbies[kind] = new;
            self.weights[kind] *= hobby_of_step(new) / hobby_of_step(old);
            if !is_taken(self, rng) {
                (self.hobbies[kind], self.weights[kind]) = (old, weight);
            }
        }
    }
}
