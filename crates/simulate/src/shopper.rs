//! Shoppers: who they are, what they hide, and what they run out of. A shopper is drawn from the seed and their index
//! whenever needed, so that a million of them cost no memory.

use std::sync::LazyLock;

use merx_domain::{ConsentStamp, Device, ProductNumber, Purposes, SubjectId};
use merx_numeric::rng::Rng;

use crate::ShopConfig;
use crate::catalogue::{Catalogue, Item, TASTE_DIMENSIONS, normalise};
use crate::draw::{Draw, mix, unit};
use crate::vocabulary::{COLOURS, CONSUMABLES, DEPARTMENTS, KINDS, kind_of};

/// A person of the simulated shop, hidden tastes included.
#[derive(Debug, Clone)]
pub struct Shopper {
    pub index: u32,
    /// Place among the shop's markets.
    pub market: usize,
    pub device: Device,
    pub consent: ConsentStamp,
    /// What pulls them in taste space, length 1.
    pub taste: [f32; TASTE_DIMENSIONS],
    /// Which price within a kind suits them, in spreads from its median.
    pub price_level: f32,
    /// Visits on an average day.
    pub visits_per_day: f32,
    /// How often a cart is left behind.
    pub abandonment: f32,
    /// The day they sign in for the first time; before it they are known by [`anonymous_id`] alone.
    pub joins_on_day: Option<i32>,
    departments: [f32; DEPARTMENTS.len()],
    colours: [usize; 2],
    key: u64,
}

/// Something a shopper buys again and again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Staple {
    pub product: ProductNumber,
    pub interval_days: u16,
}

impl Shopper {
    pub(crate) fn draw(config: &ShopConfig, index: u32) -> Self {
        let key = shopper_key(config, index);
        let rng = &mut Rng::from_seed(key);
        let shares: Vec<f32> = config.markets.iter().map(|market| market.share).collect();
        // What women's and men's fashion draw on differs; most people shop one of them.
        let wardrobe = rng.gauss();
        let mut departments = [0.0; DEPARTMENTS.len()];
        for (place, weight) in departments.iter_mut().enumerate() {
            *weight = department_weight(place, rng.gauss(), wardrobe);
        }
        Self {
            index,
            market: rng.weighted(&shares).unwrap_or(0),
            device: draw_device(rng),
            consent: draw_consent(rng),
            taste: draw_taste(rng),
            price_level: draw_price_level(rng.gauss()),
            visits_per_day: visits_per_day(config, key),
            abandonment: 0.25 + 0.4 * rng.share(),
            joins_on_day: joins_on_day(config, key),
            departments,
            colours: [Taste::draw_colour(rng), Taste::draw_colour(rng)],
            key,
        }
    }

    /// The shopper who receives this one's gifts: another taste, the same purse, departments that are good for gifts.
    pub(crate) fn recipient(&self, rng: &mut Rng) -> Self {
        let departments = std::array::from_fn(|place| DEPARTMENTS[place].gift_share);
        Self { taste: draw_taste(rng), key: rng.next_u64(), departments, ..self.clone() }
    }

    /// How much a kind interests them, season aside.
    pub(crate) fn kind_weight(&self, kind: usize) -> f32 {
        self.departments[KINDS[kind].department as usize] * hobby(mix(&[self.key, 0x40bb, kind as u64]))
    }

    /// Part of the utility of an item that does not change with time.
    pub(crate) fn liking(&self, item: &Item) -> f32 {
        liking(&self.taste, self.price_level, self.colours, self.favourite_brand(item.kind().department as usize), item)
    }

    /// Place among the department's brands.
    pub(crate) fn favourite_brand(&self, department: usize) -> usize {
        Taste::brand(unit(mix(&[self.key, 0xb4a4d, department as u64])), department)
    }

    pub(crate) fn favourite_colour(&self) -> &'static str {
        COLOURS[self.colours[0]].family
    }

    /// The variant they take: their size, else one they like.
    pub(crate) fn variant_of(&self, item: &Item, count: usize) -> usize {
        let hash = mix(&[self.key, 0x512e, u64::from(item.kind().range_key())]);
        // Two draws: middle sizes are common.
        let luck = (unit(hash) + unit(hash.rotate_left(24))) / 2.0;
        ((luck * count as f32) as usize).min(count.saturating_sub(1))
    }

    /// What they run out of.
    pub fn staples(&self, config: &ShopConfig, catalogue: &Catalogue) -> Vec<Staple> {
        (0..staple_count(self.key)).filter_map(|place| self.staple(config, catalogue, place)).collect()
    }

    /// Their `place`th staple: the best of some products of its kind that were there from the start.
    pub(crate) fn staple(&self, config: &ShopConfig, catalogue: &Catalogue, place: u32) -> Option<Staple> {
        let (shelf, interval_days) = staple_need(config, self.key, place);
        let kind = kind_of(shelf)?;
        let rng = &mut Rng::from_seed(mix(&[self.key, 0x57a9, u64::from(place)]));
        let shelf = catalogue.of_kind(kind);
        let candidates = (0..shelf.len().min(24)).map(|_| *rng.pick(shelf));
        let liked = candidates.filter_map(|number| {
            let item = catalogue.item(number)?;
            let lasting = item.created_day < 0 && item.sold_out_day.is_none() && item.sold_in(self.market);
            lasting.then(|| (number, self.liking(item)))
        });
        let (product, _) = liked.max_by(|a, b| a.1.total_cmp(&b.1))?;
        Some(Staple { product, interval_days })
    }
}

impl crate::vocabulary::Kind {
    /// Kinds measured alike share a shopper's size.
    fn range_key(&self) -> u8 {
        match self.range {
            crate::vocabulary::Range::Sizes(sizes) => sizes.len() as u8,
            _ => 0,
        }
    }
}

pub(crate) fn shopper_key(config: &ShopConfig, index: u32) -> u64 {
    mix(&[config.seed, 0x5b09, u64::from(index)])
}

/// Few shoppers come often: log-normal with the configured mean.
pub(crate) fn visits_per_day(config: &ShopConfig, key: u64) -> f32 {
    const SPREAD: f32 = 0.9;
    let normal = Rng::from_seed(mix(&[key, 0xac71])).gauss();
    config.visits_per_year / 365.0 * (SPREAD * normal - SPREAD * SPREAD / 2.0).exp()
}

/// One shopper in eight browses without signing in at first.
pub(crate) fn joins_on_day(config: &ShopConfig, key: u64) -> Option<i32> {
    let luck = unit(mix(&[key, 0x101]));
    (luck < 0.125).then_some((luck * 8.0 * config.days as f32) as i32)
}

/// A factor from a hash, one of [`HOBBY_STEPS`] equally likely.
fn hobby(hash: u64) -> f32 {
    hobby_of_step((hash >> 58) as usize)
}

pub(crate) const HOBBY_STEPS: usize = 64;

/// Log-normal: exp(0.9 z) at the middles of equally likely parts of the normal distribution (logistic approximation of z).
pub(crate) fn hobby_of_step(step: usize) -> f32 {
    static STEPS: LazyLock<[f32; HOBBY_STEPS]> = LazyLock::new(|| {
        std::array::from_fn(|step| {
            let part = (step as f32 + 0.5) / HOBBY_STEPS as f32;
            (part / (1.0 - part)).powf(0.9 / 1.702)
        })
    });
    STEPS[step]
}

/// What a department weighs for somebody, from draws of the normal distribution.
pub(crate) fn department_weight(place: usize, draw: f32, wardrobe: f32) -> f32 {
    let lean = match place {
        0 => 1.3 * wardrobe,
        1 => -1.3 * wardrobe,
        _ => 0.0,
    };
    (1.1 * draw + lean).exp()
}

pub(crate) fn draw_price_level(draw: f32) -> f32 {
    0.9 * draw
}

/// What makes somebody like a product, apart from what it is for.
#[derive(Debug, Clone)]
pub(crate) struct Taste {
    pub(crate) direction: [f32; TASTE_DIMENSIONS],
    pub(crate) price_level: f32,
    pub(crate) colours: [usize; 2],
    /// A favourite in each department, as a place among its brands.
    pub(crate) brands: [u8; DEPARTMENTS.len()],
}

impl Taste {
    pub(crate) fn liking(&self, item: &Item) -> f32 {
        let brand = self.brands[item.kind().department as usize];
        liking(&self.direction, self.price_level, self.colours, usize::from(brand), item)
    }

    pub(crate) fn draw_colour(rng: &mut Rng) -> usize {
        rng.below(COLOURS.len())
    }

    /// A favourite brand from a draw in [0, 1): popular brands have more friends.
    pub(crate) fn brand(luck: f32, department: usize) -> usize {
        (luck * luck * DEPARTMENTS[department].brands.len() as f32) as usize
    }

    /// A favourite style, a second one, and a little of everything.
    pub(crate) fn direction(styles: [usize; 2], noise: &[f32; TASTE_DIMENSIONS]) -> [f32; TASTE_DIMENSIONS] {
        let mut direction = noise.map(|value| 0.15 * value);
        direction[styles[0]] += 1.0;
        direction[styles[1]] += 0.5;
        normalise(direction)
    }
}

fn liking(
    direction: &[f32; TASTE_DIMENSIONS],
    price_level: f32,
    colours: [usize; 2],
    favourite_brand: usize,
    item: &Item,
) -> f32 {
    const TASTE: f32 = 2.4;
    const COLOUR: f32 = 0.5;
    const BRAND: f32 = 0.7;
    const PRICE: f32 = 0.35;
    const QUALITY: f32 = 0.5;
    let style: f32 = direction.iter().zip(&item.vector).map(|(a, b)| a * b).sum();
    let off = item.price_level - price_level;
    TASTE * style
        + if item.kind().coloured() && colours.contains(&usize::from(item.colour)) { COLOUR } else { 0.0 }
        + if favourite_brand == usize::from(item.brand) { BRAND } else { 0.0 }
        - PRICE * (off * off).min(6.0)
        + QUALITY * item.quality
}

fn draw_device(rng: &mut Rng) -> Device {
    [Device::Phone, Device::Desktop, Device::Tablet][rng.weighted(&[0.6, 0.33, 0.07]).unwrap_or(0)]
}

/// Most say yes to everything, some no, some say nothing; a few browsers speak for them.
fn draw_consent(rng: &mut Rng) -> ConsentStamp {
    let asked = Purposes::ANALYTICS | Purposes::PERSONALISATION | Purposes::MARKETING;
    let (granted, denied) = match rng.weighted(&[0.66, 0.10, 0.12, 0.12]) {
        Some(0) => (asked, Purposes::empty()),
        Some(1) => (Purposes::ANALYTICS | Purposes::PERSONALISATION, Purposes::MARKETING),
        Some(2) => (Purposes::empty(), asked),
        _ => (Purposes::empty(), Purposes::empty()),
    };
    ConsentStamp { granted, denied, global_privacy_control: rng.happens(0.06) }
}

fn draw_taste(rng: &mut Rng) -> [f32; TASTE_DIMENSIONS] {
    let noise = std::array::from_fn(|_| rng.gauss());
    Taste::direction([rng.below(TASTE_DIMENSIONS), rng.below(TASTE_DIMENSIONS)], &noise)
}

// ---- Staples, cheap enough to ask for everyone every day ----

/// How many staples a shopper has.
pub(crate) fn staple_count(key: u64) -> u32 {
    match unit(mix(&[key, 0x57c])) {
        luck if luck < 0.89 => 0,
        luck if luck < 0.98 => 1,
        _ => 2,
    }
}

/// Shelf and interval of a staple. Intervals stretch where the shop is visited less than usual.
fn staple_need(config: &ShopConfig, key: u64, place: u32) -> (&'static str, u16) {
    let hash = mix(&[key, 0x57d, u64::from(place)]);
    let (shelf, usual_days) = CONSUMABLES[(hash % CONSUMABLES.len() as u64) as usize];
    let stretch = (USUAL_VISITS_PER_YEAR / config.visits_per_year.max(0.01)).max(1.0);
    let days = f32::from(usual_days) * (0.7 + 0.7 * unit(hash.rotate_left(20))) * stretch;
    (shelf, days.min(10_000.0) as u16)
}

/// At this rate staples are bought at their usual intervals.
pub(crate) const USUAL_VISITS_PER_YEAR: f32 = 6.5;

/// Whether a staple is bought on a day: every interval, a tenth of it early or late.
pub(crate) fn staple_due(config: &ShopConfig, key: u64, place: u32, day: i32) -> bool {
    let interval = i32::from(staple_need(config, key, place).1).max(2);
    let phase = (mix(&[key, 0x57e, u64::from(place)]) % interval as u64) as i32;
    let due_near = |round: i32| {
        let jitter = unit(mix(&[key, 0x57f, u64::from(place), round as u64])) - 0.5;
        phase + round * interval + (jitter * 0.2 * interval as f32) as i32 == day
    };
    let round = (day - phase).div_euclid(interval);
    (round >= 0 && due_near(round)) || due_near(round + 1)
}

// ---- Pseudonyms ----

/// The pseudonym of a signed-in shopper: 96 bits of hash above 32 bits of disguised index, so that tests can find the
/// way back with [`shopper_index`].
pub(crate) fn subject_id(seed: u64, index: u32) -> SubjectId {
    disguise(seed, 0x5ab1, index)
}

/// Who they were before they signed in.
pub(crate) fn anonymous_id(seed: u64, index: u32) -> SubjectId {
    disguise(seed, 0xa707, index)
}

/// The shopper behind a pseudonym of either sort.
pub(crate) fn shopper_index(seed: u64, subject: SubjectId) -> Option<u32> {
    [0x5ab1, 0xa707].into_iter().find_map(|sort| {
        let index = subject.0 as u32 ^ mix(&[seed, sort]) as u32;
        (disguise(seed, sort, index) == subject).then_some(index)
    })
}

fn disguise(seed: u64, sort: u64, index: u32) -> SubjectId {
    let high = u128::from(mix(&[seed, sort, u64::from(index)])) << 64;
    let middle = u128::from(mix(&[seed, sort, u64::from(index), 1]) >> 32) << 32;
    let low = u128::from(index ^ mix(&[seed, sort]) as u32);
    SubjectId(high | middle | low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pseudonyms_lead_back() {
        for index in [0, 1, 77, u32::MAX] {
            assert_eq!(shopper_index(9, subject_id(9, index)), Some(index));
            assert_eq!(shopper_index(9, anonymous_id(9, index)), Some(index));
            assert_ne!(subject_id(9, index), anonymous_id(9, index));
            assert_eq!(shopper_index(8, subject_id(9, index)), None);
        }
    }

    #[test]
    fn a_staple_comes_due_at_its_interval() {
        let config = ShopConfig::default();
        let key = (0..).map(|index| shopper_key(&config, index)).find(|key| staple_count(*key) > 0).unwrap();
        let days: Vec<i32> = (0..365).filter(|day| staple_due(&config, key, 0, *day)).collect();
        let (_, interval) = staple_need(&config, key, 0);
        let gaps: Vec<i32> = days.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.len() >= 3, "{days:?}");
        for gap in gaps {
            assert!(
                (f32::from(interval) * 0.78..=f32::from(interval) * 1.22 + 1.0).contains(&(gap as f32)),
                "{gap} {interval}"
            );
        }
    }
}
