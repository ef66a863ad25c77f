//! What of a product is searched.

use merx_domain::{AttributeValue, Product, ProductNumber};

/// A searched field. The order is the order in which fields stand wherever there is one value a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    Name,
    Brand,
    /// All levels of the path.
    Category,
    /// Texts of the product's and its variants' attributes.
    Attributes,
    Description,
    /// Article numbers and GTINs of the product and its variants.
    Codes,
}

pub const FIELD_COUNT: usize = 6;

pub const FIELDS: [Field; FIELD_COUNT] =
    [Field::Name, Field::Brand, Field::Category, Field::Attributes, Field::Description, Field::Codes];

impl Field {
    pub fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Brand => "brand",
            Self::Category => "category",
            Self::Attributes => "attributes",
            Self::Description => "description",
            Self::Codes => "codes",
        }
    }
}

/// Texts longer than this are cut: a page of a manual is no description.
const MAX_FIELD_BYTES: usize = 20_000;

/// The texts of a product, a text a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchDocument {
    pub number: ProductNumber,
    pub texts: [String; FIELD_COUNT],
}

impl SearchDocument {
    pub fn named(number: ProductNumber, name: impl Into<String>) -> Self {
        let mut texts: [String; FIELD_COUNT] = Default::default();
        texts[Field::Name as usize] = name.into();
        Self { number, texts }
    }

    pub fn of(number: ProductNumber, product: &Product) -> Self {
        let attributes =
            product.attributes.iter().chain(product.variants.iter().flat_map(|variant| &variant.attributes));
        let mut attribute_texts: Vec<String> =
            attributes.filter_map(|(name, value)| attribute_text(name, value)).collect();
        attribute_texts.dedup();
        let gtins = product.variants.iter().filter_map(|variant| variant.gtin.as_deref());
        let codes = product.variants.iter().map(|variant| variant.id.as_str()).chain(gtins);
        let codes: Vec<&str> = codes.chain([product.id.as_str()]).collect();
        let mut document = Self::named(number, product.name.clone());
        document.set(Field::Brand, product.brand.as_deref().unwrap_or_default().to_owned());
        document.set(Field::Category, product.category_path.join(" . "));
        document.set(Field::Attributes, attribute_texts.join(" . "));
        document.set(Field::Description, product.description.clone());
        document.set(Field::Codes, codes.join(" . "));
        document
    }

    pub fn set(&mut self, field: Field, mut text: String) {
        let mut end = text.len().min(MAX_FIELD_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        self.texts[field as usize] = text;
    }

    pub fn text(&self, field: Field) -> &str {
        &self.texts[field as usize]
    }
}

/// A number or a flag says nothing without its name; a text stands for itself.
fn attribute_text(name: &str, value: &AttributeValue) -> Option<String> {
    match value {
        AttributeValue::Text(text) => Some(text.to_string()),
        AttributeValue::List(texts) => Some(texts.join(" . ")),
        AttributeValue::Number(number) => Some(format!("{name} {number}")),
        AttributeValue::Flag(true) => Some(name.to_owned()),
        AttributeValue::Flag(false) => None,
    }
}
