//! The catalogue as features see it: numbers of products, categories, brands and price levels.

use compact_str::CompactString;
use merx_domain::{Product, ProductId, ProductNumber};
use merx_features::{ProductFacts, Products};
use rustc_hash::FxHashMap;

/// Facts of one product, given once: states of features keep them, so a later change of price or brand counts only for a
/// product that is read in anew.
struct Facts {
    number: ProductNumber,
    categories: Box<[u32]>,
    brand: Option<u32>,
    price_level: Option<u8>,
}

#[derive(Default)]
struct Names {
    ids: FxHashMap<CompactString, u32>,
    names: Vec<CompactString>,
}

impl Names {
    fn id(&mut self, name: &CompactString) -> u32 {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = self.names.len() as u32;
        self.names.push(name.clone());
        self.ids.insert(name.clone(), id);
        id
    }

    fn name(&self, id: u32) -> Option<&str> {
        self.names.get(id as usize).map(CompactString::as_str)
    }
}

#[derive(Default)]
pub(crate) struct Directory {
    products: FxHashMap<ProductId, Facts>,
    categories: Names,
    brands: Names,
}

impl Directory {
    pub(crate) fn put(&mut self, number: ProductNumber, product: &Product) {
        let categories = product.category_path.last().map(|category| self.categories.id(category));
        let brand = product.brand.as_ref().map(|brand| self.brands.id(brand));
        let price = product.variants.iter().flat_map(|variant| &variant.prices).map(|price| price.amount).next();
        let price_level = price.map(|price| price_level(price.major_f64()));
        let facts = Facts { number, categories: categories.into_iter().collect(), brand, price_level };
        self.products.insert(product.id.clone(), facts);
    }

    pub(crate) fn number(&self, id: &ProductId) -> Option<ProductNumber> {
        self.products.get(id).map(|facts| facts.number)
    }

    /// One more than the largest number.
    pub(crate) fn number_end(&self) -> usize {
        self.products.values().map(|facts| facts.number.index() + 1).max().unwrap_or(0)
    }
}

/// Levels on a logarithmic scale: two a doubling, from 1 major unit up.
fn price_level(major: f64) -> u8 {
    (major.max(1.0).log2() * 2.0).floor().clamp(0.0, 40.0) as u8
}

impl Products for Directory {
    fn facts(&self, product: &ProductId) -> Option<ProductFacts<'_>> {
        let facts = self.products.get(product)?;
        Some(ProductFacts {
            number: facts.number,
            categories: &facts.categories,
            brand: facts.brand,
            price_level: facts.price_level,
        })
    }

    fn category_name(&self, category: u32) -> Option<&str> {
        self.categories.name(category)
    }

    fn brand_name(&self, brand: u32) -> Option<&str> {
        self.brands.name(brand)
    }
}
