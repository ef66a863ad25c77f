//! The shop's products: drawn once from the tables, kept small, turned into [`Product`]s on demand.

use std::collections::{BTreeMap, HashSet};

use compact_str::{CompactString, ToCompactString, format_compact};
use merx_domain::{
    AttributeValue, DAY_MS, HOUR_MS, MarketAvailability, Money, Price, Product, ProductId, ProductNumber, StockLevel,
    TimestampMs, Variant, VariantId,
};
use merx_numeric::rng::Rng;

use crate::ShopConfig;
use crate::draw::{Draw, mix, unit};
use crate::vocabulary::{COLOURS, COMPLEMENTS, KINDS, Kind, ORIGINS, PATTERNS, Range, SERIES, STYLES, kind_of};

/// Dimensions of the hidden taste space.
pub(crate) const TASTE_DIMENSIONS: usize = STYLES.len();

/// Spread of prices within a kind, on the logarithmic scale.
const PRICE_SPREAD: f32 = 0.45;

/// A product as the simulation sees it, hidden truth included.
#[derive(Debug, Clone)]
pub struct Item {
    pub name: String,
    /// Place in [`KINDS`].
    pub kind: u16,
    /// Place among the department's brands.
    pub brand: u8,
    /// Place among the styles.
    pub style: u8,
    pub(crate) colour: u8,
    material: u8,
    measure: Option<u8>,
    noun: u8,
    organic: bool,
    origin: u8,
    /// Base price in minor units of the first market's currency.
    pub(crate) price_minor: i64,
    /// How far the price is from the kind's median, in spreads.
    pub(crate) price_level: f32,
    /// Where it lies in taste space, length 1.
    pub(crate) vector: [f32; TASTE_DIMENSIONS],
    /// Appeal that everyone agrees on, about standard normal.
    pub(crate) quality: f32,
    /// Days since the shop's start; below 0 where it was there before.
    pub(crate) created_day: i32,
    pub(crate) sold_out_day: Option<i32>,
    /// Bit `m` is set where market `m` does not sell it.
    pub(crate) not_sold_in: u32,
    /// What is often bought with it.
    pub(crate) partner: Option<ProductNumber>,
}

impl Item {
    pub fn kind(&self) -> &'static Kind {
        &KINDS[usize::from(self.kind)]
    }

    pub(crate) fn brand_name(&self) -> &'static str {
        self.kind().department_words().brands[usize::from(self.brand)]
    }

    pub(crate) fn colour_family(&self) -> Option<&'static str> {
        self.kind().coloured().then(|| COLOURS[usize::from(self.colour)].family)
    }

    pub(crate) fn material_name(&self) -> &'static str {
        self.kind().materials[usize::from(self.material)]
    }

    pub(crate) fn noun_name(&self) -> &'static str {
        self.kind().nouns[usize::from(self.noun)]
    }

    /// Whether it could be bought on a day, in any market.
    pub fn on_sale(&self, day: i32) -> bool {
        self.created_day < day && self.sold_out_day.is_none_or(|until| day < until)
    }

    /// Days that it has been there; below 0 before it comes.
    pub fn age_days(&self, day: i32) -> i32 {
        day - self.created_day
    }

    pub(crate) fn sold_in(&self, market: usize) -> bool {
        self.not_sold_in & (1 << market) == 0
    }
}

/// Every product, ordered by when it was created: a product's number is its place.
#[derive(Debug)]
pub struct Catalogue {
    items: Vec<Item>,
    by_kind: Vec<Vec<ProductNumber>>,
    seed: u64,
}

impl Catalogue {
    pub(crate) fn draw(config: &ShopConfig) -> Self {
        let mut names = HashSet::with_capacity(config.products as usize);
        let weights: Vec<f32> = KINDS.iter().map(|kind| kind.demand.sqrt()).collect();
        let items: Vec<Item> =
            (0..config.products).map(|number| draw_item(config, number, &weights, &mut names)).collect();
        let mut by_kind = vec![Vec::new(); KINDS.len()];
        for (number, item) in items.iter().enumerate() {
            by_kind[usize::from(item.kind)].push(ProductNumber(number as u32));
        }
        let mut catalogue = Self { items, by_kind, seed: config.seed };
        catalogue.plant_complements();
        catalogue
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub fn item(&self, number: ProductNumber) -> Option<&Item> {
        self.items.get(number.index())
    }

    pub fn items(&self) -> impl ExactSizeIterator<Item = (ProductNumber, &Item)> {
        self.items.iter().enumerate().map(|(number, item)| (ProductNumber(number as u32), item))
    }

    pub(crate) fn of_kind(&self, kind: usize) -> &[ProductNumber] {
        &self.by_kind[kind]
    }

    /// Gives each product of a kind with a complement one partner: rather of its brand, measure and style, and never
    /// one that comes into the catalogue later.
    fn plant_complements(&mut self) {
        for (first, second) in COMPLEMENTS {
            let (Some(first), Some(second)) = (kind_of(first), kind_of(second)) else { continue };
            for &number in &self.by_kind[first] {
                let item = &self.items[number.index()];
                let known_since = item.created_day.max(0);
                let mut rng = Rng::from_seed(mix(&[self.seed, 0xc0, u64::from(number.0)]));
                let partners = &self.by_kind[second];
                let candidates = (0..partners.len().min(32)).map(|_| *rng.pick(partners));
                let partner = candidates
                    .filter(|partner| {
                        let partner = &self.items[partner.index()];
                        partner.created_day <= known_since && partner.sold_out_day.is_none() && partner.not_sold_in == 0
                    })
                    .max_by_key(|partner| (likeness(item, &self.items[partner.index()]), *partner));
                self.items[number.index()].partner = partner;
            }
        }
    }
}

fn likeness(item: &Item, partner: &Item) -> usize {
    let same_measure = item.measure.is_some() && item.measure == partner.measure;
    usize::from(item.brand_name() == partner.brand_name())
        + 2 * usize::from(same_measure)
        + usize::from(item.style == partner.style)
}

fn draw_item(config: &ShopConfig, number: u32, weights: &[f32], names: &mut HashSet<String>) -> Item {
    let rng = &mut Rng::from_seed(mix(&[config.seed, 0x17e, u64::from(number)]));
    let kind_number = rng.weighted(weights).unwrap_or(0);
    let kind = &KINDS[kind_number];
    // A few brands sell most, as everywhere.
    let popularity: Vec<f32> = (0..10).map(|rank| 1.0 / (rank as f32 + 1.5)).collect();
    let brand = rng.weighted(&popularity).unwrap_or(0);
    let brand_style = (brand + 3 * kind.department as usize) % STYLES.len();
    let style = if rng.happens(0.5) { brand_style } else { rng.below(STYLES.len()) };
    let dearer = if STYLES[style] == "luxe" { 0.35 } else { 0.0 };
    let price = round_price(kind.price * (PRICE_SPREAD * rng.gauss() + dearer).exp());
    let mut item = Item {
        name: String::new(),
        kind: kind_number as u16,
        brand: brand as u8,
        style: style as u8,
        colour: rng.below(COLOURS.len()) as u8,
        material: 0,
        measure: None,
        noun: 0,
        organic: rng.happens(0.22),
        origin: rng.below(ORIGINS.len()) as u8,
        price_minor: price,
        price_level: (price as f32 / 100.0 / kind.price).ln() / PRICE_SPREAD,
        vector: style_vector(style, brand_style, rng),
        quality: rng.gauss(),
        created_day: created_day(config, number),
        sold_out_day: None,
        not_sold_in: draw_markets(config.markets.len(), rng),
        partner: None,
    };
    if rng.happens(0.02) {
        item.sold_out_day = Some(((0.5 + 0.5 * rng.share()) * config.days as f32) as i32);
    }
    name_item(&mut item, rng, names);
    item
}

/// Six in ten products are older than the shop's first simulated day, the others appear evenly after it.
fn created_day(config: &ShopConfig, number: u32) -> i32 {
    const OLD: f32 = 0.6;
    const OLDEST_DAYS: f32 = 720.0;
    let place = (number as f32 + 0.5) / config.products.max(1) as f32;
    if place < OLD {
        (-OLDEST_DAYS * (1.0 - place / OLD)).floor() as i32
    } else {
        ((place - OLD) / (1.0 - OLD) * config.days as f32) as i32
    }
}

fn style_vector(style: usize, brand_style: usize, rng: &mut Rng) -> [f32; TASTE_DIMENSIONS] {
    let mut vector = [0.0; TASTE_DIMENSIONS];
    for value in &mut vector {
        *value = 0.18 * rng.gauss();
    }
    vector[style] += 0.85;
    vector[brand_style] += 0.3;
    normalise(vector)
}

pub(crate) fn normalise(vector: [f32; TASTE_DIMENSIONS]) -> [f32; TASTE_DIMENSIONS] {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt().max(1e-6);
    vector.map(|value| value / length)
}

/// One product in twenty is missing in a market; each is sold somewhere.
fn draw_markets(markets: usize, rng: &mut Rng) -> u32 {
    let missing = (0..markets).filter(|_| rng.happens(0.05)).fold(0_u32, |mask, market| mask | (1 << market));
    if missing.count_ones() as usize == markets { 0 } else { missing }
}

/// Draws the words of a name until it is a new one, then adds a series name.
fn name_item(item: &mut Item, rng: &mut Rng, names: &mut HashSet<String>) {
    let kind = item.kind();
    for attempt in 0..24 {
        item.noun = rng.below(kind.nouns.len()) as u8;
        item.material = rng.below(kind.materials.len()) as u8;
        item.measure = (!kind.measures.is_empty()).then(|| rng.below(kind.measures.len()) as u8);
        let series = (attempt >= 4).then(|| *rng.pick(&SERIES));
        let adjective = rng.happens(0.7).then(|| *rng.pick(&kind.department_words().style_words[item.style as usize]));
        let brand = (attempt >= 12).then(|| item.brand_name());
        item.name = compose_name(item, brand, series, adjective);
        if names.insert(item.name.clone()) {
            return;
        }
    }
}

/// "Alba Floral Linen Wrap Dress, Sage": brand, series, style, material, noun, measure, colour.
fn compose_name(item: &Item, brand: Option<&str>, series: Option<&str>, adjective: Option<&str>) -> String {
    let mut words: Vec<&str> = Vec::with_capacity(8);
    let (material, noun) = (item.material_name(), item.noun_name());
    words.extend(brand);
    words.extend(series);
    words.extend(adjective.filter(|word| !noun.contains(word) && *word != material));
    // "Linen Linen Shirt" helps nobody.
    if !noun.contains(material) {
        words.push(material);
    }
    words.push(noun);
    if let Some(measure) = item.measure {
        words.push(item.kind().measures[usize::from(measure)]);
    }
    let mut name = words.join(" ");
    if item.kind().coloured() {
        name.push_str(", ");
        name.push_str(COLOURS[usize::from(item.colour)].name);
    }
    name
}

/// Shop prices: .49 and .99 below 10, whole numbers less a cent below 100, fives above.
fn round_price(major: f32) -> i64 {
    let minor = f64::from(major.max(0.5)) * 100.0;
    let step = match minor {
        minor if minor < 1_000.0 => 50.0,
        minor if minor < 10_000.0 => 100.0,
        _ => 500.0,
    };
    let rounded = (minor / step).round().max(1.0) * step;
    rounded as i64 - i64::from(minor < 10_000.0)
}

// ---- Domain products ----

/// Product `number`'s id: `P000042`.
pub(crate) fn product_id(number: ProductNumber) -> ProductId {
    text_id(ProductId::new(format_compact!("P{:06}", number.0)))
}

pub(crate) fn product_number(id: &ProductId) -> Option<ProductNumber> {
    let digits = id.as_str().strip_prefix('P')?;
    let number = digits.parse().ok().map(ProductNumber)?;
    (product_id(number) == *id).then_some(number)
}

/// Ids are composed of letters and digits here, so they are always valid.
pub(crate) fn text_id<T, E>(id: Result<T, E>) -> T {
    match id {
        Ok(id) => id,
        Err(_) => unreachable!("composed ids are short and printable"),
    }
}

/// How many variants a product has.
pub(crate) fn variant_count(number: ProductNumber, item: &Item) -> usize {
    match item.kind().range {
        Range::Sizes(sizes) => sizes.len(),
        Range::Colours => 2 + number.index() % 3,
        Range::Coloured | Range::One => 1,
    }
}

pub(crate) fn variant_id(number: ProductNumber, item: &Item, variant: usize) -> VariantId {
    text_id(match item.kind().range {
        Range::Sizes(sizes) => VariantId::new(format_compact!("P{:06}-{}", number.0, compact_size(sizes[variant]))),
        Range::Colours => VariantId::new(format_compact!("P{:06}-{}", number.0, variant_colour(item, variant))),
        Range::Coloured | Range::One => VariantId::new(format_compact!("P{:06}-1", number.0)),
    })
}

fn compact_size(size: &str) -> CompactString {
    size.chars().filter(|character| *character != ' ').collect()
}

/// Colours of variants are spread over the table, beginning with the product's own.
fn variant_colour(item: &Item, variant: usize) -> &'static str {
    COLOURS[(usize::from(item.colour) + 7 * variant) % COLOURS.len()].name
}

/// The price of an item in a market, in minor units of its currency.
pub(crate) fn market_price(config: &ShopConfig, item: &Item, market: usize) -> Money {
    let market = &config.markets[market];
    let minor = if market.price_factor == 1.0 {
        item.price_minor
    } else {
        round_price(item.price_minor as f32 / 100.0 * market.price_factor)
    };
    Money::new(minor, market.currency)
}

pub(crate) fn created_at(config: &ShopConfig, number: ProductNumber, item: &Item) -> TimestampMs {
    let hour = 7 + i64::from(number.0 % 10);
    config.start.plus_ms(i64::from(item.created_day) * DAY_MS + hour * HOUR_MS)
}

/// The product as a shop's catalogue would hand it over.
pub(crate) fn to_product(config: &ShopConfig, number: ProductNumber, item: &Item) -> Product {
    let kind = item.kind();
    let id = product_id(number);
    let created_at = created_at(config, number, item);
    let path = [kind.department_words().name, kind.group, kind.shelf];
    Product {
        name: item.name.clone(),
        description: describe(number, item),
        brand: Some(CompactString::const_new(item.brand_name())),
        category_path: path.map(CompactString::const_new).to_vec(),
        attributes: attributes(number, item),
        url: Some(format!("/p/{id}")),
        availability: availability(config, item),
        variants: (0..variant_count(number, item)).map(|v| to_variant(config, number, item, v)).collect(),
        ..Product::new(id, "", created_at)
    }
}

fn describe(number: ProductNumber, item: &Item) -> String {
    let kind = item.kind();
    let words = kind.department_words();
    let first = words.sentences[number.index() % words.sentences.len()];
    let second = words.sentences[(number.index() / 7 + 1) % words.sentences.len()];
    let (noun, material) = (item.noun_name().to_lowercase(), item.material_name().to_lowercase());
    let mut sentences =
        vec![format!("{} {noun} by {}: {material}.", STYLES[usize::from(item.style)], item.brand_name())];
    sentences[0][..1].make_ascii_uppercase();
    sentences.push(first.to_owned());
    if second != first {
        sentences.push(second.to_owned());
    }
    if item.organic {
        sentences.push("Certified organic.".to_owned());
    }
    sentences.push(format!("Made in {}.", ORIGINS[usize::from(item.origin)]));
    sentences.join(" ")
}

fn attributes(number: ProductNumber, item: &Item) -> BTreeMap<CompactString, AttributeValue> {
    let text = |value: &str| AttributeValue::Text(value.to_lowercase().to_compact_string());
    let kind = item.kind();
    let mut attributes = BTreeMap::from([
        ("material".into(), text(item.material_name())),
        ("style".into(), text(STYLES[usize::from(item.style)])),
        ("organic".into(), AttributeValue::Flag(item.organic)),
        ("made_in".into(), AttributeValue::Text(ORIGINS[usize::from(item.origin)].into())),
    ]);
    if kind.coloured() {
        let colour = COLOURS[usize::from(item.colour)];
        attributes.insert("colour".into(), text(colour.name));
        attributes.insert("colour_family".into(), text(colour.family));
    }
    if let Some(measure) = item.measure {
        attributes.insert("size".into(), AttributeValue::Text(kind.measures[usize::from(measure)].into()));
    }
    if matches!(kind.range, Range::Sizes(_) | Range::Colours) {
        attributes.insert("pattern".into(), text(PATTERNS[(number.index() * 7 + item.style as usize) % 5]));
    }
    attributes
}

fn availability(config: &ShopConfig, item: &Item) -> Vec<MarketAvailability> {
    if item.not_sold_in == 0 {
        return Vec::new();
    }
    let rule = |(number, market): (usize, &crate::MarketConfig)| MarketAvailability {
        market: market.id.clone(),
        sold: item.sold_in(number),
        from: None,
        until: None,
    };
    config.markets.iter().enumerate().map(rule).collect()
}

fn to_variant(config: &ShopConfig, number: ProductNumber, item: &Item, variant: usize) -> Variant {
    let hash = mix(&[config.seed, 0x7a, u64::from(number.0), variant as u64]);
    let price = |(place, market): (usize, &crate::MarketConfig)| {
        let amount = market_price(config, item, place);
        // One product in ten is reduced from a higher price.
        let list_amount = (number.0 % 10 == 3).then(|| Money::new(amount.minor + amount.minor / 4, amount.currency));
        // The home market's price is the one for all who name no market.
        Price { market: (place > 0).then(|| market.id.clone()), amount, list_amount }
    };
    let mut attributes = BTreeMap::new();
    match item.kind().range {
        Range::Sizes(sizes) => {
            attributes.insert("size".into(), AttributeValue::Text(sizes[variant].into()));
        }
        Range::Colours => {
            let colour = variant_colour(item, variant).to_lowercase();
            attributes.insert("colour".into(), AttributeValue::Text(colour.into()));
        }
        Range::Coloured | Range::One => {}
    }
    let margin = 0.35 + 0.3 * unit(mix(&[config.seed, 0xc057, u64::from(number.0)]));
    let base = market_price(config, item, 0);
    Variant {
        gtin: Some(gtin(hash)),
        prices: config.markets.iter().enumerate().map(price).collect(),
        cost: Some(Money::new((base.minor as f32 * (1.0 - margin)) as i64, base.currency)),
        attributes,
        ..Variant::new(variant_id(number, item, variant))
    }
}

/// Thirteen digits in the range kept for use within a company (prefix 2), with a valid check digit.
fn gtin(hash: u64) -> CompactString {
    let digits = 200_000_000_000 + hash % 100_000_000_000;
    let mut sum = 0;
    let mut rest = digits;
    for place in 0..12 {
        sum += rest % 10 * if place % 2 == 0 { 3 } else { 1 };
        rest /= 10;
    }
    format_compact!("{digits}{}", (10 - sum % 10) % 10)
}

/// Units of each variant at each location, as they stand at the end of the run.
pub(crate) fn stock_levels(config: &ShopConfig, number: ProductNumber, item: &Item) -> Vec<StockLevel> {
    let updated_at = config.end();
    let mut levels = Vec::new();
    for variant in 0..variant_count(number, item) {
        for (place, location) in config.locations.iter().enumerate() {
            let hash = mix(&[config.seed, 0x570c, u64::from(number.0), variant as u64, place as u64]);
            let quantity = if item.sold_out_day.is_some() { 0 } else { (unit(hash).powi(2) * 120.0) as i64 };
            levels.push(StockLevel {
                product: product_id(number),
                variant: variant_id(number, item, variant),
                location: location.clone(),
                quantity,
                updated_at,
            });
        }
    }
    levels
}
