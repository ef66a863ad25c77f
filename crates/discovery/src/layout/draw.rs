//! An order drawn by what blocks promise, and its chance.

use merx_domain::experiment::LinearArm;
use merx_domain::{LayoutAsk, LayoutReason, PlacedBlock};
use merx_numeric::rng::Rng;
use std::collections::BTreeMap;

use super::model::{BlockKnowledge, Visit};

/// How much uncertainty counts in a block's favour.
const ALPHA: f64 = 0.25;
/// A block that promises twice as much is so many powers of two likelier to come next.
const SHARPNESS: i32 = 3;
/// Share of every place that is dealt evenly, so that any order can be estimated from any other.
const EVEN: f64 = 0.05;
/// What a block promises at least, so that nothing is ruled out.
const LEAST: f64 = 1e-3;
/// A block seen less often is being tried.
const KNOWN: u64 = 30;

/// Places the free blocks; fixed ones stand where they were asked for, as far as there is room.
pub(super) fn draw(
    ask: &LayoutAsk,
    known: &BTreeMap<String, BlockKnowledge>,
    visit: &Visit,
    seed: u64,
) -> Vec<PlacedBlock> {
    let mut rng = Rng::from_seed(seed);
    let nothing = BlockKnowledge::none();
    let mut free: Vec<Promise> = ask
        .blocks
        .iter()
        .filter(|block| !block.fixed)
        .map(|block| Promise::of(&block.id, known.get(&block.id).unwrap_or(&nothing), visit))
        .collect();
    let mut placed = Vec::with_capacity(ask.count);
    for asked in ask.blocks.iter().take(ask.count) {
        placed.push(if asked.fixed {
            PlacedBlock { id: asked.id.clone(), score: 0.0, chance: 1.0, reason: LayoutReason::Fixed }
        } else {
            next(&mut free, &mut rng)
        });
    }
    placed
}

/// A block with what it promises.
struct Promise {
    id: String,
    score: f64,
    reason: LayoutReason,
}

impl Promise {
    fn of(id: &str, known: &BlockKnowledge, Visit(x): &Visit) -> Self {
        let arm: &LinearArm = &known.arm;
        let mean = arm.mean(x).clamp(0.0, 1.0);
        let reason = match known.seen {
            seen @ 0..KNOWN => LayoutReason::Tried { seen },
            seen => LayoutReason::Learned { expected: mean as f32, seen },
        };
        Self { id: id.to_owned(), score: (mean + ALPHA * arm.spread(x)).clamp(LEAST, 1.0), reason }
    }
}

/// Draws the next block. There are as many free blocks as free places at least.
fn next(free: &mut Vec<Promise>, rng: &mut Rng) -> PlacedBlock {
    let chances = chances(&free.iter().map(|promise| promise.score).collect::<Vec<_>>());
    let lot = rng.uniform();
    let mut sum = 0.0;
    let drawn = chances.iter().position(|chance| {
        sum += chance;
        lot < sum
    });
    // Rounding may leave the sum just below 1.
    let place = drawn.unwrap_or(free.len() - 1);
    let Promise { id, score, reason } = free.remove(place);
    PlacedBlock { id, score, chance: chances[place], reason }
}

/// The chance of each of coming next.
fn chances(scores: &[f64]) -> Vec<f64> {
    let weights = scores.iter().map(|score| score.powi(SHARPNESS));
    let sum: f64 = weights.clone().sum();
    let even = EVEN / scores.len() as f64;
    weights.map(|weight| (1.0 - EVEN) * weight / sum + even).collect()
}

#[cfg(test)]
mod tests {
    use merx_domain::LayoutBlock;
    use merx_domain::experiment::CONTEXT;

    use super::*;

    fn ask(blocks: &[(&str, bool)], count: usize) -> LayoutAsk {
        let block = |(id, fixed): &(&str, bool)| LayoutBlock { id: (*id).to_owned(), fixed: *fixed };
        LayoutAsk { page: "home".into(), blocks: blocks.iter().map(block).collect(), count, learned: true }
    }

    fn known(rates: &[(&str, f64)]) -> BTreeMap<String, BlockKnowledge> {
        let knowledge = |rate: f64| {
            let mut knowledge = BlockKnowledge::none();
            knowledge.seen = 10_000;
            knowledge.arm.theta[0] = rate;
            knowledge.arm.inverse = [[0.0; CONTEXT]; CONTEXT];
            knowledge
        };
        rates.iter().map(|(id, rate)| ((*id).to_owned(), knowledge(*rate))).collect()
    }

    const VISIT: Visit = Visit([1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);

    #[test]
    fn chances_add_up_and_none_is_ruled_out() {
        for scores in [vec![0.1, 0.2, 0.3], vec![LEAST, 1.0], vec![0.5]] {
            let chances = chances(&scores);
            assert!((chances.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            assert!(chances.iter().all(|chance| *chance >= EVEN / scores.len() as f64));
        }
    }

    /// Each order comes as often as its recorded chance says, and the chances of all orders add up to 1.
    #[test]
    fn an_order_comes_as_often_as_its_propensity_says() {
        let (ask, known) =
            (ask(&[("a", false), ("b", false), ("c", false)], 3), known(&[("a", 0.1), ("b", 0.15), ("c", 0.05)]));
        let mut seen: BTreeMap<Vec<String>, (u32, f64)> = BTreeMap::new();
        const DRAWS: u32 = 60_000;
        for seed in 0..u64::from(DRAWS) {
            let placed = draw(&ask, &known, &VISIT, seed);
            let chance = placed.iter().map(|block| block.chance).product();
            let order = placed.into_iter().map(|block| block.id).collect();
            let entry = seen.entry(order).or_insert((0, chance));
            assert!((entry.1 - chance).abs() < 1e-12);
            entry.0 += 1;
        }
        assert_eq!(seen.len(), 6);
        assert!((seen.values().map(|(_, chance)| chance).sum::<f64>() - 1.0).abs() < 1e-9);
        for (order, (count, chance)) in seen {
            let (rate, expected) = (f64::from(count) / f64::from(DRAWS), chance);
            let error = 4.0 * (expected * (1.0 - expected) / f64::from(DRAWS)).sqrt();
            assert!((rate - expected).abs() < error, "{order:?}: {rate} for {expected}");
        }
    }

    #[test]
    fn fixed_blocks_stay_and_what_promises_most_comes_first() {
        let ask = ask(&[("hero", true), ("a", false), ("b", false), ("c", false), ("foot", true)], 4);
        let known = known(&[("a", 0.02), ("b", 0.2), ("c", 0.02)]);
        let mut first = 0;
        for seed in 0..1_000 {
            let placed = draw(&ask, &known, &VISIT, seed);
            assert_eq!((placed.len(), placed[0].id.as_str(), placed[0].chance), (4, "hero", 1.0));
            assert!(placed.iter().all(|block| block.id != "foot"), "there is no room for it");
            first += u32::from(placed[1].id == "b");
        }
        assert!(first > 900, "{first} of 1,000");
    }

    #[test]
    fn what_nobody_has_seen_is_tried() {
        let ask = ask(&[("a", false), ("unheard", false)], 2);
        let known = known(&[("a", 0.1)]);
        let first = (0..1_000).filter(|seed| draw(&ask, &known, &VISIT, *seed)[0].id == "unheard").count();
        assert!(first > 700, "{first} of 1,000");
        let placed = draw(&ask, &known, &VISIT, 1);
        let of = |id: &str| placed.iter().find(|block| block.id == id).unwrap().reason.clone();
        assert_eq!(of("unheard"), LayoutReason::Tried { seen: 0 });
        assert!(matches!(of("a"), LayoutReason::Learned { seen: 10_000, .. }));
    }
}
