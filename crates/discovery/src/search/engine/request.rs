//! The way of one search: rules, intent, words and meaning, filter, facets, order, page.

use merx_domain::search::{Around, IndexState};
use merx_domain::{Filter, FilterValue, ProductNumber, Shelf, SubjectFeatures};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::search::catalogue::{Catalogue, FacetCounts, FacetRequest, Found as Counted, Row, Spread, View};
use crate::search::clicks::QueryClicks;
use crate::search::document::{FIELDS, Field};
use crate::search::engine::ask::{HitReason, SearchAnswer, SearchAsk, SearchHit, SortKey, Step};
use crate::search::engine::front::{Firsts, Front, Nearness, Place};
use crate::search::engine::intent::{Names, read_price};
use crate::search::engine::rules::{Occasion, Orders};
use crate::search::engine::{EngineSettings, Merchandising, RankerModel, SearchEngine};
use crate::search::features::Feature;
use crate::search::retrieve::Matches;
use crate::search::sentence::{Sentence, query_text};
use crate::search::shop_index::{Few, Hit, LeastCosines, Nearest, Reading, SearchIndex, SearchReader, Understood};
use crate::search::synonyms::Synonyms;
use crate::search::text::Language;
use crate::search::{SearchError, feature_names};

/// Deeper pages of a ranking are empty; nobody looks there, and every one would be ranked.
const DEEPEST: usize = 1_000;
const MOST_COUNT: usize = 1_000;
const MOST_FACETS: usize = 60;
const MOST_FACET_VALUES: usize = 1_000;
const CHOSEN_FACETS: usize = 12;
const MOST_REFINEMENTS: usize = 30;
/// Hits in a page that the shelf may refuse before the page stays short.
const MOST_REFUSED: usize = 200;
const MOST_POPULAR: usize = 100;
/// Hits, times facets, that one thread counts within a millisecond or so.
const COUNTED_ALONE: usize = 400_000;
/// Of the worst hit; the best has 1.
const LEAST_SCORE: f32 = 0.05;
/// Clicks move a product no further than these many logits.
const MOST_LIFT: f32 = 3.0;

/// What may be used to answer.
#[derive(Clone, Copy)]
pub(super) struct Means<'a> {
    learnt: Option<&'a RankerModel>,
    meaning: bool,
    words: bool,
    /// Values that a facet comes with at most.
    facet_values: usize,
}

impl<'a> Means<'a> {
    pub(super) fn live(learnt: &'a RankerModel) -> Self {
        Self { learnt: Some(learnt), meaning: true, words: true, facet_values: MOST_FACET_VALUES }
    }

    pub(super) fn by_meaning(&self) -> bool {
        self.meaning
    }

    /// By lexical score alone.
    pub(super) fn words() -> Self {
        Self { learnt: None, meaning: false, words: true, facet_values: MOST_FACET_VALUES }
    }

    /// By words, for those who look for a value of a facet.
    pub(super) fn every_value() -> Self {
        Self { facet_values: usize::MAX, ..Self::words() }
    }

    /// Whatever is asked for: what is popular.
    pub(super) fn popular() -> Self {
        Self { learnt: None, meaning: false, words: false, facet_values: MOST_FACET_VALUES }
    }
}

pub(super) struct Search<'a> {
    pub engine: &'a SearchEngine,
    pub index: &'a SearchIndex,
    pub reader: SearchReader<'a>,
    pub catalogue: &'a Catalogue,
    pub names: &'a Names,
    pub merchandising: &'a Merchandising,
    pub view: View<'a>,
    pub ask: &'a SearchAsk,
    pub features: &'a SubjectFeatures,
    pub shelf: Option<&'a dyn Shelf>,
    pub means: Means<'a>,
    /// What a sentence encoder says of the text that it was asked about.
    pub sentence: Option<(Sentence<'a>, String)>,
    pub state: IndexState,
    pub late: &'a dyn Fn() -> bool,
}

/// What passes everything, and what fails one group of refinements only.
#[derive(Default)]
struct Found {
    hits: Vec<ProductNumber>,
    /// By refined field: products that only this field's refinements refuse.
    almost: Vec<(String, Vec<ProductNumber>)>,
}

/// A text, read and matched.
struct Matched<'a> {
    understood: Understood,
    matches: Matches,
    nearest: Nearest<'a>,
    found: Found,
}

impl<'a> Search<'a> {
    pub(super) fn run(&self) -> Result<Option<SearchAnswer>, SearchError> {
        let orders = if self.ask.without_rules {
            Orders::default()
        } else {
            Orders::of(&self.merchandising.rules, self.occasion())
        };
        let mut answer = SearchAnswer {
            rules: orders.applied.clone(),
            redirect: orders.redirect.clone(),
            banners: orders.banners.clone(),
            state: self.state,
            ..SearchAnswer::default()
        };
        let typed = orders.query.as_deref().unwrap_or(&self.ask.query);
        let mut text = typed.to_owned();
        let mut price = None;
        if let Some(read) = Some(typed).filter(|_| self.engine.settings.reads_prices).and_then(read_price) {
            answer.steps.push(Step::PriceRead { filter: read.filter.clone() });
            text = read.text;
            price = Some(read.filter);
        }
        if text.trim().is_empty() || !self.means.words {
            return Ok(Some(self.browse(&orders, price.as_ref(), answer)));
        }
        let mut matched = self.matched(&text, &orders, price.as_ref())?;
        if matched.found.hits.is_empty() && price.is_some() {
            answer.steps.push(Step::PriceDropped);
            // A price that was no price: what was typed is searched as it stands.
            text = typed.to_owned();
            matched = self.matched(&text, &orders, None)?;
        }
        if (self.late)() {
            return Ok(None);
        }
        self.tell(&matched, typed, &text, &mut answer);
        if matched.found.hits.is_empty() {
            return Ok(Some(self.popular_instead(&orders, &text, answer)));
        }
        self.count(&matched.found, &mut answer);
        let names = self.names.in_query(&text, self.index.analyser());
        answer.named = names.iter().map(|(field, value)| (field.to_string(), value.clone())).collect();
        answer.hits = if self.ask.sort.is_empty() {
            let front = self.front();
            if let Some(front) = &front {
                self.keep_front(front, &mut matched, &orders);
            }
            let Some(hits) = self.measured(matched, &orders) else { return Ok(None) };
            let clicks = self.means.learnt.and_then(|learnt| learnt.clicks.of_query(&text));
            let weighing = Weighing { factors: self.factors(&orders, &answer.named), clicks };
            let mut page = self.page(self.pinned(self.ranked(&hits, &weighing, front.as_ref()), &orders));
            let mut shown: FxHashMap<ProductNumber, &mut SearchHit> =
                page.iter_mut().map(|shown| (shown.product, shown)).collect();
            for hit in &hits {
                if let Some(shown) = shown.get_mut(&hit.product) {
                    self.explain(hit, &weighing, shown);
                }
            }
            page.iter_mut().for_each(|shown| told_front(front.as_ref(), shown));
            page
        } else {
            self.page(self.sorted(&matched.found.hits))
        };
        Ok(Some(answer))
    }

    fn occasion(&self) -> Occasion<'_> {
        Occasion {
            query: &self.ask.query,
            category: self.ask.category.as_deref(),
            segments: &self.ask.segments,
            market: self.view.market,
            now: self.view.now,
        }
    }

    fn fields(&self) -> Vec<Field> {
        FIELDS.into_iter().filter(|field| self.ask.fields.iter().any(|name| name == field.name())).collect()
    }

    fn matched(&self, text: &str, orders: &Orders, price: Option<&Filter>) -> Result<Matched<'a>, SearchError> {
        let none = Synonyms::NONE;
        let synonyms = if self.ask.without_synonyms { &none } else { &self.merchandising.synonyms };
        let languages: Vec<Language> = self.ask.languages.iter().map(|code| Language::from_code(code)).collect();
        let reading = Reading {
            forgives: self.ask.typo_tolerance,
            unfinished: self.ask.unfinished,
            languages: &languages,
            synonyms,
        };
        let understood = self.reader.understand(text, reading);
        let mut matches = self.reader.matched(&understood, &self.fields())?;
        let allowed = self.allowed(orders, price);
        matches.matches.retain(|matched| allowed(ProductNumber(matched.product)));
        let EngineSettings { least_cosine, least_sentence_cosine, .. } = self.engine.settings;
        let least = LeastCosines { own: least_cosine, sentence: least_sentence_cosine };
        let mut near = if self.means.meaning && self.ask.fields.is_empty() {
            // A rule may have replaced the text.
            let of_text = self.sentence.as_ref().filter(|(_, asked)| *asked == query_text(text));
            self.reader.nearest(&understood, &matches, of_text.map(|(sentence, _)| *sentence), least, &allowed)
        } else {
            Nearest::default()
        };
        matches.keep_tier(self.engine.settings.tier);
        let mut candidates: Vec<ProductNumber> =
            matches.matches.iter().map(|matched| ProductNumber(matched.product)).collect();
        let only_near = Few::new(near.all()).without(candidates.iter().map(|product| product.0));
        candidates.extend(near.all().filter(|product| only_near.contains(product)).map(ProductNumber));
        let found = self.refined(candidates);
        if !self.ask.refinements.is_empty() {
            let kept = Counted::new(found.hits.as_slice());
            matches.matches.retain(|matched| kept.has(matched.product));
            near.retain(|product| kept.has(product));
        }
        Ok(Matched { understood, matches, nearest: near, found })
    }

    /// Whether a product may be found at all: shown here and now, not hidden by a rule, passing all filters but refinements.
    fn allowed<'b>(&'b self, orders: &'b Orders, price: Option<&'b Filter>) -> impl Fn(ProductNumber) -> bool + 'b {
        let filters = self.ask.filter.iter().chain(&orders.filters).chain(price);
        let predicates: Vec<_> = filters.map(|filter| self.catalogue.predicate(filter, self.view)).collect();
        let hidden: FxHashSet<ProductNumber> =
            orders.hidden.iter().filter_map(|id| self.catalogue.number(id)).collect();
        let near = self.ask.around.as_ref().map(|around| Nearness::new(self.catalogue, around));
        let shown = self.catalogue.shown_to(self.view);
        move |product| {
            shown(product)
                && near.as_ref().is_none_or(|near| near.reaches(product))
                && !hidden.contains(&product)
                && predicates.iter().all(|predicate| predicate.passes(product))
        }
    }

    /// One pass over the candidates for the hits and for what each facet would count without its own refinements.
    fn refined(&self, candidates: Vec<ProductNumber>) -> Found {
        if self.ask.refinements.is_empty() {
            return Found { hits: candidates, almost: Vec::new() };
        }
        let mut fields: Vec<&str> = Vec::new();
        let mut groups: Vec<Vec<_>> = Vec::new();
        for refinement in self.ask.refinements.iter().take(MOST_REFINEMENTS) {
            let predicate = self.catalogue.predicate(&refinement.filter, self.view);
            match fields.iter().position(|field| *field == refinement.field) {
                Some(place) => groups[place].push(predicate),
                None => {
                    fields.push(&refinement.field);
                    groups.push(vec![predicate]);
                }
            }
        }
        let mut found =
            Found { hits: Vec::new(), almost: fields.iter().map(|field| ((*field).to_owned(), Vec::new())).collect() };
        for product in candidates {
            let mut failing =
                (0..groups.len()).filter(|group| !groups[*group].iter().all(|predicate| predicate.passes(product)));
            match (failing.next(), failing.next()) {
                (None, _) => found.hits.push(product),
                (Some(only), None) => found.almost[only].1.push(product),
                _ => {}
            }
        }
        found
    }

    /// Writes down how the text was read.
    fn tell(&self, matched: &Matched<'_>, typed: &str, text: &str, answer: &mut SearchAnswer) {
        let mut searched_for = text.to_lowercase();
        for correction in &matched.understood.corrections {
            answer.steps.push(Step::Corrected {
                typed: correction.typed.to_string(),
                meant: correction.meant.to_string(),
                replaced: correction.replaces,
            });
            if correction.replaces {
                searched_for = replace_word(&searched_for, &correction.typed, &correction.meant);
            }
        }
        let corrected = matched.understood.corrections.iter().any(|correction| correction.replaces);
        if corrected || *typed != self.ask.query {
            answer.searched_for = Some(searched_for);
        }
        let query = &matched.understood.query;
        let best = matched.matches.best();
        match best {
            Some(best) if best.terms & matched.matches.required != matched.matches.required => {
                let missing = query.required().filter(|(place, _)| best.terms & (1 << place) == 0);
                answer
                    .steps
                    .push(Step::Relaxed { missing: missing.map(|(_, term)| term.surface.to_string()).collect() });
            }
            None if !matched.nearest.is_empty() => answer.steps.push(Step::ByMeaning),
            _ => {}
        }
        answer.highlight = query.searched_terms(self.ask.unfinished);
    }

    fn count(&self, found: &Found, answer: &mut SearchAnswer) {
        answer.total = match &self.ask.distinct {
            None => found.hits.len(),
            Some(distinct) => {
                let mut firsts = Firsts::new(self.catalogue, distinct);
                found.hits.iter().filter(|product| firsts.takes(**product)).count()
            }
        };
        let mut requests: Vec<FacetRequest> = Vec::new();
        for request in self.ask.facets.iter().take(MOST_FACETS) {
            let most_values = request.most_values.min(self.means.facet_values);
            if request.field == "*" {
                let chosen = self.telling_facets(found);
                requests.extend(chosen.into_iter().map(|field| FacetRequest { field, most_values }));
            } else {
                requests.push(FacetRequest { field: request.field.clone(), most_values });
            }
        }
        let mut seen: FxHashSet<String> = FxHashSet::default();
        requests.retain(|request| seen.insert(request.field.clone()));
        let (catalogue, view) = (self.catalogue, self.view);
        let hits = Counted::new(found.hits.as_slice());
        let counted = |request: &FacetRequest| counted(catalogue, view, request, &hits, found);
        // Handing a little work to other threads takes longer than doing it.
        answer.facets = if found.hits.len().saturating_mul(requests.len()) < COUNTED_ALONE {
            requests.iter().map(counted).collect()
        } else {
            requests.par_iter().map(counted).collect()
        };
    }

    /// Facets that many of the hits have and that part them evenly, those that shoppers choose in for such queries first.
    fn telling_facets(&self, found: &Found) -> Vec<String> {
        const SAMPLED: usize = 2_000;
        const LOOKED_AT: usize = 300;
        let step = found.hits.len().div_ceil(SAMPLED).max(1);
        let sample = Counted::new(found.hits.iter().step_by(step).copied().collect::<Vec<ProductNumber>>());
        let category = self.ask.category.as_deref().unwrap_or_default();
        let is_facet = |field: &&str| {
            !field.starts_with("category.lvl") && *field != Around::LATITUDE && *field != Around::LONGITUDE
        };
        let fields = self.catalogue.facet_fields().filter(is_facet).take(LOOKED_AT);
        let mut scored: Vec<(f32, String)> = fields
            .chain(["price"])
            .filter_map(|field| {
                let spread = self.catalogue.spread(field, &sample, self.view);
                let usage = (self.engine.usage_of(category, field) as f32).ln_1p();
                let tells = tells(spread, sample.products().len());
                (tells > 0.0).then(|| (tells * (1.0 + usage), field.to_owned()))
            })
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        scored.into_iter().take(CHOSEN_FACETS).map(|(_, field)| field).collect()
    }

    /// The best matches, measured and scored between .05 and 1, as deep as the page needs. `None`: too late.
    fn measured(&self, matched: Matched<'_>, orders: &Orders) -> Option<Vec<Hit>> {
        let depth = self.depth().min(DEEPEST) + orders.pins.len();
        let mut hits = self.reader.measured(&matched.understood, matched.matches, matched.nearest, depth);
        if (self.late)() {
            return None;
        }
        if let Some(learnt) = self.means.learnt {
            learnt.ranker.score(&mut hits);
        }
        let highest = hits.iter().map(|hit| hit.score).fold(f32::MIN, f32::max);
        let lowest = hits.iter().map(|hit| hit.score).fold(f32::MAX, f32::min);
        let span = (highest - lowest).max(1e-6);
        hits.iter_mut().for_each(|hit| hit.score = LEAST_SCORE + (1.0 - LEAST_SCORE) * (hit.score - lowest) / span);
        Some(hits)
    }

    fn front(&self) -> Option<Front<'_>> {
        Front::of(self.catalogue, self.view, self.ask.around.as_ref(), &self.ask.preferences)
    }

    /// Lets go of what can't be on the page whatever its relevance, because enough others go before it.
    fn keep_front(&self, front: &Front<'_>, matched: &mut Matched<'_>, orders: &Orders) {
        let matches = &matched.matches;
        let (best, coverage) = (matches.best_coverage(), matches.coverages());
        let mut places: FxHashMap<u32, Place> = FxHashMap::default();
        let by_meaning = matched.nearest.products.iter().map(|(product, _)| (*product, best > 0.0));
        let by_words = matches.matches.iter().map(|found| (found.product, lacks(coverage(found), best)));
        for (product, lacks) in by_meaning.chain(by_words) {
            places.insert(product, front.place(ProductNumber(product), lacks));
        }
        let mut order: Vec<Place> = places.values().copied().collect();
        let wanted = self.depth().min(DEEPEST) + orders.pins.len();
        if order.len() <= wanted {
            return;
        }
        let (_, last, _) = order.select_nth_unstable_by(wanted, Place::compare);
        let last = *last;
        let stays = |product: &u32| places.get(product).is_some_and(|place| place.compare(&last).is_le());
        matched.matches.matches.retain(|found| stays(&found.product));
        matched.nearest.products.retain(|(product, _)| stays(product));
    }

    /// Hits by relevance, behind what goes before it; without reasons: few of them are shown.
    fn ranked(&self, hits: &[Hit], weighing: &Weighing<'_>, front: Option<&Front<'_>>) -> Vec<SearchHit> {
        let coverage = |hit: &Hit| hit.features[Feature::Coverage as usize];
        let best = hits.iter().map(coverage).fold(0.0, f32::max);
        let placed = |hit: &Hit| {
            let place = front.map_or(Place::default(), |front| front.place(hit.product, lacks(coverage(hit), best)));
            (place, self.weighed(hit, weighing), hit.product)
        };
        let mut ranked: Vec<(Place, f32, ProductNumber)> = hits.iter().map(placed).collect();
        ranked.sort_unstable_by(|(place, score, product), (other, better, before)| {
            place.compare(other).then_with(|| better.total_cmp(score)).then_with(|| product.cmp(before))
        });
        let hit = |(_, score, product)| SearchHit { product, score, reasons: Vec::new(), measurements: Vec::new() };
        ranked.into_iter().map(hit).collect()
    }

    /// What multiplies the score of a product that passes, and the reason to give.
    fn factors<'b>(&'b self, orders: &'b Orders, named: &[(String, String)]) -> Vec<Factor<'b>> {
        let mut factors = self.boosts(orders);
        for (field, value) in named {
            let reason = HitReason::Named { field: field.clone(), value: value.clone() };
            factors.push(Factor { passes: self.has(field, value), factor: self.engine.settings.named, reason });
        }
        let leanings = self
            .features
            .affinities
            .iter()
            .filter(|affinity| matches!(affinity.feature.as_str(), "brand" | "category"));
        let strongest = leanings.clone().map(|affinity| affinity.weight).fold(0.0, f32::max);
        for affinity in leanings.filter(|affinity| affinity.weight > 0.0) {
            let factor = 1.0 + (self.engine.settings.personal - 1.0) * affinity.weight / strongest;
            let (field, value) = (affinity.feature.clone(), affinity.key.clone());
            factors.push(Factor {
                passes: self.has(&field, &value),
                factor,
                reason: HitReason::Personal { field, value, factor },
            });
        }
        factors
    }

    /// What merchants raise and lower.
    fn boosts<'b>(&'b self, orders: &'b Orders) -> Vec<Factor<'b>> {
        let boost = |(filter, strength, id): &'b (Filter, f32, String)| {
            let predicate = self.catalogue.predicate(filter, self.view);
            let passes = Box::new(move |product| predicate.passes(product));
            Factor { passes, factor: (1.0 + strength).max(0.0), reason: HitReason::Rule { id: id.clone() } }
        };
        orders.boosts.iter().map(boost).collect()
    }

    fn has<'b>(&'b self, field: &str, value: &str) -> Box<dyn Fn(ProductNumber) -> bool + 'b> {
        Box::new(self.catalogue.having(field, value))
    }

    fn weighed(&self, hit: &Hit, weighing: &Weighing<'_>) -> f32 {
        let settings = &self.engine.settings;
        let mut score = hit.score;
        score += settings.popularity * self.catalogue.popularity(hit.product);
        // What a shop gives no weight need not be read of hundreds of products.
        if settings.stock != 0.0 {
            score += settings.stock * self.catalogue.row(hit.product).map_or(0.0, Row::plenty);
        }
        if settings.newness != 0.0 {
            score += settings.newness * self.catalogue.newness(hit.product, self.view.now);
        }
        if settings.margin != 0.0 {
            score += settings.margin * self.catalogue.margin(hit.product, self.view);
        }
        score += settings.clicks * weighing.lift(hit.product);
        let factors = weighing.factors.iter().filter(|factor| (factor.passes)(hit.product));
        factors.fold(score, |score, factor| score * factor.factor)
    }

    /// Writes down why a hit stands where it stands.
    fn explain(&self, hit: &Hit, weighing: &Weighing<'_>, shown: &mut SearchHit) {
        let mut reasons = vec![HitReason::Words { coverage: hit.features[Feature::Coverage as usize] }];
        let cosine = match hit.features[Feature::Sentence as usize] {
            0.0 => hit.features[Feature::Meaning as usize],
            by_sentence => by_sentence,
        };
        if cosine > 0.0 {
            reasons.push(HitReason::Meaning { cosine });
        }
        let popularity = self.catalogue.popularity(hit.product);
        if popularity > 0.0 {
            reasons.push(HitReason::Popular { weight: popularity });
        }
        let lift = weighing.lift(hit.product);
        if lift != 0.0 {
            reasons.push(HitReason::Clicked { lift });
        }
        let factors = weighing.factors.iter().filter(|factor| (factor.passes)(hit.product));
        reasons.extend(factors.map(|factor| factor.reason.clone()));
        // What pinned it comes last.
        reasons.append(&mut shown.reasons);
        shown.reasons = reasons;
        if self.ask.explain {
            let named = feature_names().iter().zip(hit.features);
            shown.measurements = named.map(|(name, value)| ((*name).to_owned(), value)).collect();
        }
    }

    /// Puts pinned products where merchants want them, as far as they may be shown and pass what was asked for.
    fn pinned(&self, mut ranked: Vec<SearchHit>, orders: &Orders) -> Vec<SearchHit> {
        if orders.pins.is_empty() {
            return ranked;
        }
        let allowed = self.allowed(orders, None);
        let refined = |product| {
            self.ask
                .refinements
                .iter()
                .all(|refinement| self.catalogue.predicate(&refinement.filter, self.view).passes(product))
        };
        for (place, id, rule) in &orders.pins {
            let Some(product) = self.catalogue.number(id).filter(|product| allowed(*product) && refined(*product))
            else {
                continue;
            };
            let known = ranked.iter().position(|hit| hit.product == product).map(|place| ranked.remove(place));
            let mut hit =
                known.unwrap_or(SearchHit { product, score: 0.0, reasons: Vec::new(), measurements: Vec::new() });
            hit.reasons.push(HitReason::Rule { id: rule.clone() });
            ranked.insert((*place).min(ranked.len()), hit);
        }
        ranked
    }

    fn sorted(&self, found: &[ProductNumber]) -> Vec<SearchHit> {
        let keys = &self.ask.sort;
        let front = self.front();
        let keyed = |product: &ProductNumber| {
            let values =
                keys.iter().map(|key| self.catalogue.values_of(&key.field, *product, self.view).into_iter().next());
            let place = front.as_ref().map_or(Place::default(), |front| front.place(*product, false));
            (values.collect::<Vec<Option<FilterValue>>>(), place, *product)
        };
        let mut keyed: Vec<_> = found.iter().map(keyed).collect();
        keyed.sort_by(|a, b| compare_keys(keys, &a.0, &b.0).then_with(|| a.1.compare(&b.1)).then(a.2.cmp(&b.2)));
        keyed.into_iter().map(|(.., product)| plain(product, 0.0)).collect()
    }

    /// No text: everything that passes, the most popular first, or as sorted.
    fn browse(&self, orders: &Orders, price: Option<&Filter>, mut answer: SearchAnswer) -> SearchAnswer {
        let allowed = self.allowed(orders, price);
        let candidates = self.catalogue.numbers_of_all().filter(|product| allowed(*product)).collect();
        let found = self.refined(candidates);
        self.count(&found, &mut answer);
        let ordered =
            if self.ask.sort.is_empty() { self.by_popularity(&found.hits, orders) } else { self.sorted(&found.hits) };
        answer.hits = self.page(if self.ask.sort.is_empty() { self.pinned(ordered, orders) } else { ordered });
        answer
    }

    /// Products by popularity, the newest first among equals, as many as a page may need; merchants' boosts move them, and what
    /// goes before relevance goes before it.
    fn by_popularity(&self, products: &[ProductNumber], orders: &Orders) -> Vec<SearchHit> {
        let popularity = |product| self.catalogue.popularity(product);
        let (front, boosts) = (self.front(), self.boosts(orders));
        if front.is_none() && boosts.is_empty() {
            let popular = self.catalogue.most_popular(products, self.depth());
            return popular.into_iter().map(|product| plain(product, popularity(product))).collect();
        }
        let hit = |product: ProductNumber| {
            let mut hit = plain(product, popularity(product));
            let passed: Vec<&Factor<'_>> = boosts.iter().filter(|boost| (boost.passes)(product)).collect();
            if !boosts.is_empty() {
                hit.score = passed.iter().fold(LEAST_SCORE + hit.score, |score, boost| score * boost.factor);
            }
            hit.reasons.extend(passed.iter().map(|boost| boost.reason.clone()));
            told_front(front.as_ref(), &mut hit);
            (front.as_ref().map_or(Place::default(), |front| front.place(product, false)), hit)
        };
        let all = self.catalogue.most_popular(products, products.len());
        let mut placed: Vec<(Place, SearchHit)> = all.into_iter().map(hit).collect();
        placed.sort_by(|(place, a), (other, b)| place.compare(other).then_with(|| b.score.total_cmp(&a.score)));
        placed.into_iter().map(|(_, hit)| hit).collect()
    }

    /// The last step when nothing is found: popular products, of the category that is meant where one is.
    fn popular_instead(&self, orders: &Orders, text: &str, mut answer: SearchAnswer) -> SearchAnswer {
        let names = self.names.in_query(text, self.index.analyser());
        let of_query = names.into_iter().find(|(field, _)| field == "category").map(|(_, value)| value);
        let category = of_query.or_else(|| self.ask.category.clone());
        let allowed = self.allowed(orders, None);
        let has_category = category.as_deref().map(|category| self.has("category", category));
        let of_category = |product: ProductNumber| has_category.as_ref().is_none_or(|has| has(product));
        let shown = |product: &ProductNumber| allowed(*product) && of_category(*product);
        let candidates: Vec<ProductNumber> = self.catalogue.numbers_of_all().filter(shown).collect();
        let found = self.refined(candidates);
        let mut popular = self.by_popularity(&found.hits, orders);
        popular.truncate(MOST_POPULAR);
        answer.steps.push(Step::Popular { category });
        // They are no matches: the total stays 0.
        answer.hits = self.page(popular);
        answer
    }

    /// Places that a page and what the shelf may refuse of it need.
    fn depth(&self) -> usize {
        if self.ask.distinct.is_some() {
            // How many of equal products go is known only when they are ranked.
            return DEEPEST + MOST_REFUSED;
        }
        self.ask.offset.saturating_add(self.ask.count.min(MOST_COUNT)).saturating_add(MOST_REFUSED)
    }

    /// The page asked for. What the shelf refuses at the last moment is skipped.
    fn page(&self, ranked: Vec<SearchHit>) -> Vec<SearchHit> {
        let count = self.ask.count.min(MOST_COUNT);
        let reachable = if self.ask.sort.is_empty() && !self.ask.query.is_empty() {
            DEEPEST.saturating_sub(self.ask.offset)
        } else {
            usize::MAX
        };
        let mut firsts = self.ask.distinct.as_ref().map(|distinct| Firsts::new(self.catalogue, distinct));
        let is_first = |hit: &SearchHit| firsts.as_mut().is_none_or(|firsts| firsts.takes(hit.product));
        let wanted = ranked.into_iter().filter(is_first).skip(self.ask.offset);
        let Some(shelf) = self.shelf else { return wanted.take(count.min(reachable)).collect() };
        let mut shown = Vec::with_capacity(count.min(64));
        let mut refused = 0;
        for hit in wanted.take(reachable) {
            if shown.len() == count || refused == MOST_REFUSED {
                break;
            }
            match shelf.fact(0, hit.product).blocked {
                None => shown.push(hit),
                Some(_) => refused += 1,
            }
        }
        shown
    }
}

/// What moves scores, beside the measurements of a hit.
struct Weighing<'a> {
    factors: Vec<Factor<'a>>,
    clicks: Option<QueryClicks<'a>>,
}

impl Weighing<'_> {
    fn lift(&self, product: ProductNumber) -> f32 {
        self.clicks.map_or(0.0, |clicks| clicks.lift(product).clamp(-MOST_LIFT, MOST_LIFT))
    }
}

struct Factor<'a> {
    passes: Box<dyn Fn(ProductNumber) -> bool + 'a>,
    factor: f32,
    reason: HitReason,
}

/// A facet without its own refinements.
fn counted(
    catalogue: &Catalogue,
    view: View<'_>,
    request: &FacetRequest,
    hits: &Counted<'_>,
    found: &Found,
) -> FacetCounts {
    match found.almost.iter().find(|(field, _)| *field == request.field) {
        Some((_, almost)) => {
            catalogue.count_facet(request, &Counted::new([found.hits.as_slice(), almost].concat()), view)
        }
        None => catalogue.count_facet(request, hits, view),
    }
}

/// Whether what has these of the words lacks any that the best has.
fn lacks(coverage: f32, best: f32) -> bool {
    coverage < best - 1e-4
}

fn told_front(front: Option<&Front<'_>>, hit: &mut SearchHit) {
    let Some(front) = front else { return };
    let score = front.preferred(hit.product);
    if score > 0.0 {
        hit.reasons.push(HitReason::Preferred { score });
    }
    if let Some(distance_m) = front.distance_m(hit.product) {
        hit.reasons.push(HitReason::Near { distance_m: distance_m as f32 });
    }
}

fn plain(product: ProductNumber, popularity: f32) -> SearchHit {
    let reasons = if popularity > 0.0 { vec![HitReason::Popular { weight: popularity }] } else { Vec::new() };
    SearchHit { product, score: popularity, reasons, measurements: Vec::new() }
}

/// Share of the products that have the field, times how evenly its values part them (entropy beside that of as many equal
/// values); nothing for a field with one value or with one for each product.
fn tells(spread: Spread, products: usize) -> f32 {
    if spread.distinct < 2 || spread.distinct * 2 > spread.covered + 20 {
        return 0.0;
    }
    spread.covered as f32 / products.max(1) as f32 * spread.entropy / (spread.distinct as f32).ln()
}

fn compare_keys(keys: &[SortKey], a: &[Option<FilterValue>], b: &[Option<FilterValue>]) -> std::cmp::Ordering {
    use std::cmp::Ordering;
    for (key, (a, b)) in keys.iter().zip(a.iter().zip(b)) {
        let order = match (a, b) {
            (Some(a), Some(b)) => {
                let order = compare_values(a, b);
                if key.descending { order.reverse() } else { order }
            }
            // What lacks the field comes last, whichever way.
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

fn compare_values(a: &FilterValue, b: &FilterValue) -> std::cmp::Ordering {
    match (a, b) {
        (FilterValue::Number(a), FilterValue::Number(b)) => a.total_cmp(b),
        (FilterValue::Flag(a), FilterValue::Flag(b)) => a.cmp(b),
        _ => crate::search::catalogue::text_of(a)
            .to_lowercase()
            .cmp(&crate::search::catalogue::text_of(b).to_lowercase()),
    }
}

fn replace_word(text: &str, typed: &str, meant: &str) -> String {
    let words = text.split_whitespace().map(|word| if crate::search::text::fold(word) == typed { meant } else { word });
    words.collect::<Vec<&str>>().join(" ")
}
