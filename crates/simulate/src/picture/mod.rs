//! Pictures of products as vector drawings: the shape by what it is, the colour and pattern by its attributes, the light
//! and the backdrop the same for all, so that a shop of thousands of products looks like one shop.
//!
//! A picture is a function of the product's catalogue entry alone: the same product is drawn the same way each time.

mod colours;
mod shapes;

use std::fmt::Write as _;

use merx_domain::{AttributeValue, Product};

use colours::Rgb;

/// Draws a product as a square SVG document.
pub fn picture(product: &Product) -> String {
    let look = Look::of(product);
    let shape = shapes::shape(look.shelf, &product.name);
    let main = look.colour();
    let backdrop = look.backdrop(main);
    let mut svg = String::with_capacity(4 * 1024);
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"14 14 372 372\" role=\"img\"><title>{}</title><defs>\
         <radialGradient id=\"g\" cx=\".5\" cy=\".38\" r=\".75\"><stop offset=\"0\" stop-color=\"{}\"/><stop offset=\"1\" stop-color=\"{}\"/></radialGradient>\
         <linearGradient id=\"s\" x1=\"0\" y1=\"0\" x2=\"1\" y2=\".35\"><stop offset=\"0\" stop-color=\"#fff\" stop-opacity=\".22\"/>\
         <stop offset=\".5\" stop-color=\"#fff\" stop-opacity=\"0\"/><stop offset=\"1\" stop-color=\"#000\" stop-opacity=\".14\"/></linearGradient>",
        escaped(&product.name),
        backdrop.lighter(0.55),
        backdrop,
    );
    let pattern = look.pattern(main);
    if let Some(pattern) = &pattern {
        svg.push_str(pattern);
    }
    svg.push_str("</defs><path d=\"M0 0h400v400H0z\" fill=\"url(#g)\"/><ellipse cx=\"200\" cy=\"334\" rx=\"118\" ry=\"13\" fill=\"#2b2118\" opacity=\".13\"/>");
    draw(&mut svg, shape, &look, main, pattern.is_some());
    svg.push_str("</svg>");
    svg
}

/// Writes a shape: what stands in `[[ ]]` is its body, in the product's colour, with its pattern and with light on it.
fn draw(svg: &mut String, shape: &str, look: &Look<'_>, main: Rgb, patterned: bool) {
    let mut rest = shape;
    while let Some(start) = rest.find("[[") {
        let Some(length) = rest[start..].find("]]") else { break };
        let body = &rest[start + 2..start + length];
        svg.push_str(&coloured(&rest[..start], look, main));
        let _ = write!(svg, "<g fill=\"{main}\">{body}</g>");
        if patterned {
            let _ = write!(svg, "<g fill=\"url(#p)\">{body}</g>");
        }
        let _ = write!(svg, "<g fill=\"url(#s)\">{body}</g>");
        rest = &rest[start + length + 2..];
    }
    svg.push_str(&coloured(rest, look, main));
}

/// Puts in the colours that go with the main one: `$m` itself, `$d` and `$e` its shadows, `$l` its light, `$a` an accent, `$B` the brand.
fn coloured(part: &str, look: &Look<'_>, main: Rgb) -> String {
    if !part.contains('$') {
        return part.to_owned();
    }
    part.replace("$m", &main.to_string())
        .replace("$d", &main.darker(0.22).to_string())
        .replace("$e", &main.darker(0.45).to_string())
        .replace("$l", &main.lighter(0.35).to_string())
        .replace("$a", &look.accent().to_string())
        .replace("$B", &escaped(look.brand))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// What of a product can be seen.
struct Look<'a> {
    department: &'a str,
    shelf: &'a str,
    brand: &'a str,
    colour: Option<&'a str>,
    pattern: Option<&'a str>,
    material: &'a str,
    number: u64,
}

impl<'a> Look<'a> {
    fn of(product: &'a Product) -> Self {
        let text = |name: &str| match product.attributes.get(name) {
            Some(AttributeValue::Text(text)) => Some(text.as_str()),
            _ => None,
        };
        let of_variant = || match product.variants.first()?.attributes.get("colour") {
            Some(AttributeValue::Text(text)) => Some(text.as_str()),
            _ => None,
        };
        Self {
            department: product.category_path.first().map_or("", |level| level.as_str()),
            shelf: product.category_path.last().map_or("", |level| level.as_str()),
            brand: product.brand.as_deref().unwrap_or(""),
            colour: text("colour").or_else(of_variant),
            pattern: text("pattern"),
            material: text("material").unwrap_or(""),
            number: product
                .id
                .as_str()
                .bytes()
                .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)),
        }
    }

    fn colour(&self) -> Rgb {
        let named = self.colour.and_then(colours::named);
        named.or_else(|| colours::of_material(self.material)).unwrap_or_else(|| colours::drawn(self.number))
    }

    fn accent(&self) -> Rgb {
        colours::drawn(self.number >> 8)
    }

    /// A quiet tone of the department, lighter behind dark things.
    fn backdrop(&self, main: Rgb) -> Rgb {
        let tone = colours::backdrop(self.department);
        if main.lightness() > 0.86 { tone.darker(0.10) } else { tone }
    }

    fn pattern(&self, main: Rgb) -> Option<String> {
        let ink = if main.lightness() > 0.6 { main.darker(0.32) } else { main.lighter(0.45) };
        let (size, marks) = match self.pattern? {
            "striped" => (20, format!("<path d=\"M0 4h20v5H0z\" fill=\"{ink}\"/>")),
            "checked" => (28, format!("<path d=\"M0 8h28v5H0zM8 0h5v28H8z\" fill=\"{ink}\" opacity=\".55\"/>")),
            "dotted" => (
                22,
                format!(
                    "<g fill=\"{ink}\"><circle cx=\"6\" cy=\"6\" r=\"3\"/><circle cx=\"17\" cy=\"17\" r=\"3\"/></g>"
                ),
            ),
            "floral" => (
                44,
                format!(
                    "<g fill=\"{ink}\"><circle cx=\"12\" cy=\"7\" r=\"4\"/><circle cx=\"17\" cy=\"12\" r=\"4\"/><circle cx=\"12\" cy=\"17\" r=\"4\"/>\
                     <circle cx=\"7\" cy=\"12\" r=\"4\"/><circle cx=\"34\" cy=\"30\" r=\"3\"/><circle cx=\"38\" cy=\"34\" r=\"3\"/><circle cx=\"34\" cy=\"38\" r=\"3\"/>\
                     <circle cx=\"30\" cy=\"34\" r=\"3\"/></g><circle cx=\"12\" cy=\"12\" r=\"3\" fill=\"{main}\"/>"
                ),
            ),
            _ => return None,
        };
        Some(format!(
            "<pattern id=\"p\" width=\"{size}\" height=\"{size}\" patternUnits=\"userSpaceOnUse\">{marks}</pattern>"
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{KINDS, Shop, ShopConfig};

    #[test]
    fn every_kind_has_a_shape_and_every_picture_is_whole() {
        let shop = Shop::new(ShopConfig { products: 3_000, shoppers: 1, days: 1, ..ShopConfig::default() });
        let mut drawn = HashSet::new();
        for product in shop.products() {
            let svg = picture(&product);
            assert_eq!(svg, picture(&product), "the same each time");
            assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>"));
            assert!(!svg.contains('$') && !svg.contains("[["), "all places are filled in: {}", product.name);
            let opened = svg.matches("<g").count() - svg.matches("<g/").count();
            assert!(opened >= svg.matches("</g>").count());
            assert!(svg.len() < 6_000, "{} bytes", svg.len());
            drawn.insert(product.category_path[2].clone());
        }
        assert_eq!(drawn.len(), KINDS.len(), "the shop has all kinds");
        for kind in KINDS {
            assert_ne!(
                shapes::shape(kind.shelf, kind.nouns[0]),
                shapes::PARCEL,
                "{} has a shape of its own",
                kind.shelf
            );
        }
    }

    #[test]
    fn what_is_red_is_drawn_red_and_what_is_striped_striped() {
        let shop = Shop::new(ShopConfig { products: 2_000, shoppers: 1, days: 1, ..ShopConfig::default() });
        let is = |product: &Product, name: &str, value: &str| {
            product.attributes.get(name) == Some(&AttributeValue::Text(value.into()))
        };
        let striped =
            shop.products().find(|product| is(product, "pattern", "striped") && is(product, "colour", "burgundy"));
        let svg = striped.map(|product| picture(&product)).unwrap_or_default();
        assert!(svg.contains(&colours::named("burgundy").map(|colour| colour.to_string()).unwrap_or_default()));
        assert!(svg.contains("<pattern"));
        let plain = shop.products().find(|product| is(product, "pattern", "solid"));
        assert!(!plain.map(|product| picture(&product)).unwrap_or_default().contains("<pattern"));
    }

    #[test]
    fn names_can_t_leave_their_place() {
        let product = Product::new(
            crate::catalogue::text_id(merx_domain::ProductId::new("x")),
            "<script>",
            merx_domain::TimestampMs(0),
        );
        assert!(!picture(&product).contains("<script>"));
    }
}
