//! Small drawings (SVG) that can be read in light and dark, with nothing but text and lines.

use std::fmt::Write;

use super::tally::Interval;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 330.0;
const LEFT: f64 = 54.0;
/// Room for the names of the lines.
const RIGHT: f64 = 100.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 40.0;

/// Colours by the reader's preference; blue and orange are told apart by nearly everybody.
const STYLE: &str = "<style>\
text{font:13px system-ui,sans-serif;fill:#444}.title{font-size:15px;font-weight:600;fill:#222}\
.grid{stroke:#ddd}.line{fill:none;stroke-width:2}.band{opacity:.16;stroke:none}\
.accent{stroke:#1763cf;fill:#1763cf}.plain{stroke:#c2571a;fill:#c2571a}.quiet{stroke:#777;fill:#777}.other{stroke:#2f7d4f;fill:#2f7d4f}\
.line{fill:none}text.accent,text.plain,text.quiet,text.other{stroke:none;font-weight:600}.even{stroke:#777;stroke-dasharray:4 4}\
@media(prefers-color-scheme:dark){text{fill:#bbb}.title{fill:#eee}.grid{stroke:#3a3a3a}\
.accent{stroke:#6ea8ff;fill:#6ea8ff}.plain{stroke:#f0954f;fill:#f0954f}.quiet{stroke:#999;fill:#999}.other{stroke:#5fbd85;fill:#5fbd85}.line{fill:none}}\
</style>";

pub(super) struct Series {
    pub(super) name: &'static str,
    /// A class of [`STYLE`].
    pub(super) colour: &'static str,
    /// A value a day.
    pub(super) points: Vec<Interval>,
}

/// Lines over days, each in the band of its interval.
pub(super) struct Chart {
    pub(super) title: &'static str,
    pub(super) unit: &'static str,
    /// Values are shown times this.
    pub(super) scale: f64,
    pub(super) from_zero: bool,
    pub(super) series: Vec<Series>,
}

/// From a range of values to a range of places.
#[derive(Clone, Copy)]
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn at(self, value: f64) -> f64 {
        self.from
            + (value.clamp(self.low, self.high) - self.low) / (self.high - self.low).max(1e-12) * (self.to - self.from)
    }

    /// Round numbers within the range, about `count` of them.
    fn ticks(self, count: f64) -> Vec<f64> {
        let raw = ((self.high - self.low) / count).max(1e-9);
        let power = 10f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= raw);
        let step = step.unwrap_or(raw);
        let first = (self.low / step).ceil() as i64;
        (first..).map(|number| number as f64 * step).take_while(|value| *value <= self.high + 1e-9).collect()
    }
}

impl Chart {
    pub(super) fn to_svg(&self) -> String {
        let shown = |value: f64| value * self.scale;
        let all = self.series.iter().flat_map(|series| &series.points).filter(|point| point.low.is_finite());
        let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), point| {
            (low.min(shown(point.low)), high.max(shown(point.high)))
        });
        let margin = 0.04 * (high - low);
        let low = if self.from_zero { 0.0 } else { low - margin };
        let y = Axis { low, high: high + margin, from: HEIGHT - BOTTOM, to: TOP };
        let days = self.series.iter().map(|series| series.points.len()).max().unwrap_or(1);
        let x = Axis { low: 1.0, high: days as f64, from: LEFT, to: WIDTH - RIGHT };
        let mut svg = open(self.title, HEIGHT);
        for tick in y.ticks(5.0) {
            let place = y.at(tick);
            let to = WIDTH - RIGHT;
            let _ = write!(svg, r#"<path class="grid" d="M{LEFT} {place:.1}H{to}"/>"#);
            let _ = write!(
                svg,
                r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
                LEFT - 6.0,
                place + 4.0,
                short(tick)
            );
        }
        let _ = write!(svg, r#"<text x="{LEFT}" y="{:.1}" text-anchor="end">{}</text>"#, TOP - 8.0, self.unit);
        for day in (1..=days).filter(|day| *day == 1 || day % 7 == 0) {
            let (place, below) = (x.at(day as f64), HEIGHT - BOTTOM + 18.0);
            let _ = write!(svg, r#"<text x="{place:.1}" y="{below:.1}" text-anchor="middle">{day}</text>"#);
        }
        for series in &self.series {
            self.draw(series, x, y, &mut svg);
        }
        let _ = write!(
            svg,
            r#"<text x="{LEFT}" y="{:.1}">day, each with the six before it; bands: 95 % over shops</text></svg>"#,
            HEIGHT - 6.0
        );
        svg
    }

    fn draw(&self, series: &Series, x: Axis, y: Axis, svg: &mut String) {
        let places = |value: fn(&Interval) -> f64| {
            let points = series.points.iter().enumerate();
            points.map(move |(day, point)| (x.at(day as f64 + 1.0), y.at(value(point) * self.scale)))
        };
        let path = |points: &mut dyn Iterator<Item = (f64, f64)>| {
            points.fold(String::new(), |mut path, (x, y)| {
                let _ = write!(path, "{}{x:.1} {y:.1}", if path.is_empty() { 'M' } else { 'L' });
                path
            })
        };
        let upper: Vec<(f64, f64)> = places(|point| point.high).collect();
        let lower: Vec<(f64, f64)> = places(|point| point.low).collect();
        let around = path(&mut upper.into_iter().chain(lower.into_iter().rev()));
        let colour = series.colour;
        let _ = write!(svg, r#"<path class="band {colour}" d="{around}Z"/>"#);
        let _ = write!(svg, r#"<path class="{colour} line" d="{}"/>"#, path(&mut places(|point| point.mean)));
        if let Some((x, y)) = places(|point| point.mean).next_back() {
            let _ =
                write!(svg, r#"<text class="{colour}" x="{:.1}" y="{:.1}">{}</text>"#, x + 8.0, y + 4.0, series.name);
        }
    }
}

/// Ratios in ascending order, their mean and its interval.
pub(super) fn dots(title: &str, ratios: &[f64], overall: Interval) -> String {
    const HEIGHT: f64 = 150.0;
    const MIDDLE: f64 = 84.0;
    let mut ratios = ratios.to_vec();
    ratios.sort_unstable_by(f64::total_cmp);
    let high = ratios.last().copied().unwrap_or(1.0).max(overall.high) * 1.05;
    let low = ratios.first().copied().unwrap_or(1.0).min(overall.low).min(1.0) * 0.95;
    let x = Axis { low, high, from: LEFT, to: WIDTH - RIGHT };
    let mut svg = open(title, HEIGHT);
    for tick in x.ticks(6.0) {
        let _ = write!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{}x</text>"#,
            x.at(tick),
            HEIGHT - 14.0,
            short(tick)
        );
    }
    let _ = write!(svg, r#"<path class="even" d="M{:.1} {TOP}V{:.1}"/>"#, x.at(1.0), HEIGHT - 32.0);
    let _ = write!(svg, r#"<text x="{:.1}" y="{:.1}">no better</text>"#, x.at(1.0) + 6.0, TOP + 8.0);
    let (from, to) = (x.at(overall.low), x.at(overall.high));
    let _ = write!(
        svg,
        r#"<rect class="band accent" x="{from:.1}" y="{TOP}" width="{:.1}" height="{:.1}"/>"#,
        to - from,
        HEIGHT - 32.0 - TOP
    );
    let _ = write!(svg, r#"<path class="accent line" d="M{:.1} {TOP}V{:.1}"/>"#, x.at(overall.mean), HEIGHT - 32.0);
    for (place, ratio) in ratios.iter().enumerate() {
        let height = MIDDLE + 7.0 * ((place % 5) as f64 - 2.0);
        let _ = write!(svg, r#"<circle class="accent" cx="{:.1}" cy="{height:.1}" r="3.5"/>"#, x.at(*ratio));
    }
    let words = format!("{:.2} ({:.2} to {:.2})", overall.mean, overall.low, overall.high);
    let _ = write!(
        svg,
        r#"<text class="accent" x="{:.1}" y="{:.1}" text-anchor="middle">{words}</text></svg>"#,
        x.at(overall.mean),
        TOP - 6.0
    );
    svg
}

fn open(title: &str, height: f64) -> String {
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" aria-label="{title}">{STYLE}<text class="title" x="6" y="20">{title}</text>"#
    )
}

/// Without zeros that say nothing.
fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        let axis = Axis { low: 0.0, high: 97.0, from: 0.0, to: 1.0 };
        assert_eq!(axis.ticks(5.0), [0.0, 20.0, 40.0, 60.0, 80.0]);
    }

    #[test]
    fn a_line_falls_where_values_fall() {
        let point = |mean: f64| Interval { mean, low: mean - 0.1, high: mean + 0.1 };
        let series = Series { name: "one", colour: "accent", points: vec![point(0.9), point(0.5)] };
        let chart = Chart { title: "t", unit: "%", scale: 100.0, from_zero: true, series: vec![series] };
        let svg = chart.to_svg();
        let line = svg.split(r#"class="accent line" d=""#).nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let heights: Vec<f64> =
            line[1..].split('L').map(|point| point.split(' ').nth(1).unwrap().parse().unwrap()).collect();
        assert!(heights[1] > heights[0], "further down is less: {line}");
    }
}
