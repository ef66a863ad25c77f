//! The "Complete Journey" set: simulated grocery baskets, one Parquet file a table.

pub(super) const PRODUCTS: &str = r#"
entity = "products"
[fields]
product = "product_id"
name = ["product_type", "package_size"]
brand = "brand"
category = ["department", "product_category"]
[attributes]
manufacturer = "manufacturer_id"
product_type = "product_type"
package_size = "package_size"
"#;

/// Amounts of the till are those of a whole line, after all discounts of the shop.
pub(super) const TRANSACTIONS: &str = r#"
entity = "orders"
currency = "USD"
time_zone = "America/New_York"
[fields]
order = "basket_id"
placed_at = "transaction_timestamp"
customer = "household_id"
product = "product_id"
quantity = "quantity"
line_total = "sales_value"
"#;

/// Columns by which the two files are recognised.
pub(super) const PRODUCT_COLUMNS: &[&str] = &["product_id", "department", "product_category", "product_type"];
pub(super) const TRANSACTION_COLUMNS: &[&str] = &["household_id", "basket_id", "product_id", "sales_value"];
