//! Units of measure as shops write them, brought to one unit of their kind.

use super::scan::{Chunk, ChunkKind};

/// A unit and how many of its base it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Unit {
    base: &'static str,
    factor: f64,
}

impl Unit {
    pub(super) fn in_base(self, value: f64) -> (f64, &'static str) {
        (value * self.factor, self.base)
    }
}

/// Spellings, base, factor. Lengths in inches and in millimetres stay apart: nobody sells 25.4 mm as an inch. An ounce is
/// a weight or a volume, so that it stays an ounce.
const UNITS: &[(&[&str], &str, f64)] = &[
    (&["in", "inch", "inches", "zoll", "pouce", "pouces", "pulgada", "pulgadas"], "in", 1.0),
    (&["ft", "foot", "feet"], "in", 12.0),
    (&["yd", "yard", "yards"], "in", 36.0),
    (&["mm", "millimeter", "millimeters", "millimetre", "millimetres"], "mm", 1.0),
    (&["cm", "centimeter", "centimeters", "centimetre", "centimetres"], "mm", 10.0),
    (&["m", "meter", "meters", "metre", "metres"], "mm", 1_000.0),
    (&["gal", "gallon", "gallons", "gl"], "gal", 1.0),
    (&["qt", "quart", "quarts"], "qt", 1.0),
    (&["pt", "pint", "pints"], "pt", 1.0),
    (&["oz", "ounce", "ounces"], "oz", 1.0),
    (&["lb", "lbs", "pound", "pounds"], "lb", 1.0),
    (&["mg"], "mg", 1.0),
    (&["g", "gr", "gram", "grams", "gramm", "gramme", "grammes"], "g", 1.0),
    (&["kg", "kilo", "kilos", "kilogram", "kilograms"], "g", 1_000.0),
    (&["ml", "milliliter", "millilitre"], "ml", 1.0),
    (&["cl"], "ml", 10.0),
    (&["l", "liter", "liters", "litre", "litres", "ltr"], "ml", 1_000.0),
    (&["w", "watt", "watts"], "w", 1.0),
    (&["kw", "kilowatt", "kilowatts"], "w", 1_000.0),
    (&["v", "volt", "volts"], "v", 1.0),
    (&["a", "amp", "amps", "ampere", "amperes"], "a", 1.0),
    (&["mah"], "mah", 1.0),
    (&["hz"], "hz", 1.0),
    (&["btu", "btus"], "btu", 1.0),
    (&["cfm"], "cfm", 1.0),
    (&["gpm"], "gpm", 1.0),
    (&["gpf"], "gpf", 1.0),
    (&["psi"], "psi", 1.0),
    (&["hp"], "hp", 1.0),
    (&["rpm"], "rpm", 1.0),
    (&["mp", "megapixel", "megapixels"], "mp", 1.0),
    (&["mb"], "mb", 1.0),
    (&["gb"], "gb", 1.0),
    (&["tb"], "gb", 1_000.0),
    (&["ga", "gauge"], "ga", 1.0),
    (&["pk", "pack", "packs"], "pack", 1.0),
    (&["pc", "pcs", "piece", "pieces", "stuck"], "pc", 1.0),
    (&["sqft", "sf"], "sqft", 1.0),
    (&["cuft", "cf"], "cuft", 1.0),
    (&["deg", "degree", "degrees"], "deg", 1.0),
    (&["percent"], "pct", 1.0),
];

fn named(text: &str) -> Option<Unit> {
    let (_, base, factor) = UNITS.iter().find(|(spellings, ..)| spellings.contains(&text))?;
    Some(Unit { base, factor: *factor })
}

/// Whether a folded word names a unit.
pub(crate) fn is_unit(word: &str) -> bool {
    named(word).is_some() || matches!(word, "sq" | "square" | "cu" | "cubic")
}

/// The unit that follows a number and how many chunks name it.
pub(super) fn unit_after(chunks: &[Chunk]) -> Option<(Unit, usize)> {
    let hyphen = usize::from(chunks.first().is_some_and(|chunk| chunk.is_joining('-')));
    let (first, rest) = chunks.get(hyphen..)?.split_first()?;
    match first.kind {
        ChunkKind::Mark => mark(first, rest).map(|(unit, length)| (unit, length + hyphen)),
        ChunkKind::Word => word(first, rest).map(|(unit, length)| (unit, length + hyphen)),
        _ => None,
    }
}

/// `5"`, `5''`, `5'`, `5%`.
fn mark(first: &Chunk, rest: &[Chunk]) -> Option<(Unit, usize)> {
    if first.spaced {
        return None;
    }
    let doubled = rest.first().is_some_and(|next| next.kind == ChunkKind::Mark && !next.spaced && next.text == "'");
    match first.text.as_str() {
        "\"" => Some((named("in")?, 1)),
        "'" if doubled => Some((named("in")?, 2)),
        "'" => Some((named("ft")?, 1)),
        "%" => Some((named("percent")?, 1)),
        _ => None,
    }
}

fn word(first: &Chunk, rest: &[Chunk]) -> Option<(Unit, usize)> {
    let dots = usize::from(rest.first().is_some_and(|next| next.text == "." || next.text == "-"));
    let power = match first.text.as_str() {
        "sq" | "square" => Some("sqft"),
        "cu" | "cubic" => Some("cuft"),
        _ => None,
    };
    if let Some(unit) = power {
        let feet = rest.get(dots)?;
        return ["ft", "foot", "feet"].contains(&feet.text.as_str()).then_some((named(unit)?, 2 + dots));
    }
    Some((named(&first.text)?, 1))
}
