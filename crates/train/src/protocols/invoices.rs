//! Next basket from the invoice lines of a shop.
//!
//! **Lines.** Parquet or CSV with InvoiceNo, StockCode, Quantity, InvoiceDate, UnitPrice and CustomerID (or the names of the second
//! edition: Invoice, Price, Customer ID). Cancelled invoices (C in front), lines with a quantity or price of 0 and below, and codes
//! that are no products are dropped: postage, fees, vouchers and manual entries have codes without digits, or are in a short list. A
//! code's case is ignored. Lines of one invoice are one basket; an item counts once in it.
//!
//! **Split by time.** The last tenth of the days is the test part. A customer with a purchase before it and one in it is asked about
//! once: which items are in the **first** basket of the test part, given everything the customer bought before? **Repeats count**:
//! items bought before are ranked like all others. Items first sold in the test part stay among the relevant. Baskets without a
//! customer are learned from. For choosing, the tenth before is cut in the same way, and every basket in it is a question.

use std::fs::File;
use std::path::{Path, PathBuf};

use merx_domain::EventMeaning::Purchased;
use merx_models::{Example, Interactions, TrainingSet};
use merx_numeric::rng::Rng;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::schema::types::Type;
use rustc_hash::{FxHashMap, FxHashSet};

use super::task::{Task, distinct, sample, together};
use super::{BenchError, files};
use merx_models::evaluate::Metric;

const LEARNING: usize = 12_000;
const CHOOSING: usize = 4_000;
/// Codes with a digit that are no products.
const NO_PRODUCTS: [&str; 2] = ["C2", "C3"];
const DAY_S: i64 = 86_400;

/// A product line that was sold.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    invoice: String,
    code: String,
    at_s: i64,
    /// Empty where it isn't known.
    customer: String,
}

/// The columns by place.
#[derive(Debug, Clone, Copy)]
struct Columns {
    invoice: usize,
    code: usize,
    quantity: usize,
    date: usize,
    price: usize,
    customer: usize,
}

impl Columns {
    fn find(names: &[String], path: &Path) -> Result<Self, BenchError> {
        let plain = |name: &str| name.to_lowercase().replace([' ', '_', '\u{feff}'], "");
        let place = |accepted: &[&str]| {
            let found = names.iter().position(|name| accepted.contains(&plain(name).as_str()));
            let problem = || format!("no column {} among {}", accepted[0], names.join(", "));
            found.ok_or_else(|| BenchError::Line { path: path.to_owned(), line: 1, problem: problem() })
        };
        Ok(Self {
            invoice: place(&["invoiceno", "invoice"])?,
            code: place(&["stockcode"])?,
            quantity: place(&["quantity"])?,
            date: place(&["invoicedate"])?,
            price: place(&["unitprice", "price"])?,
            customer: place(&["customerid"])?,
        })
    }
}

pub(super) fn invoices(dir: &Path, set: String, seed: u64) -> Result<Task, BenchError> {
    let path = table(dir)?;
    let lines = match path.to_string_lossy().ends_with(".parquet") {
        true => read_parquet(&path)?,
        false => read_csv(&path)?,
    };
    let shop = Shop::of(products_only(lines));
    if shop.baskets.is_empty() {
        return Err(BenchError::Empty { path });
    }
    Ok(shop.cut(set, seed))
}

/// The only table of a folder, or the folder itself where it is a file.
fn table(dir: &Path) -> Result<PathBuf, BenchError> {
    if dir.is_file() {
        return Ok(dir.to_owned());
    }
    let entries = std::fs::read_dir(dir).map_err(|error| BenchError::read(dir, error))?;
    let mut tables: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| is_table(path)).collect();
    tables.sort();
    match tables.len() {
        1 => Ok(tables.remove(0)),
        0 => Err(BenchError::Missing { name: "*.parquet or *.csv".to_owned(), dir: dir.to_owned() }),
        _ => Err(BenchError::read(dir, "more than one table lies here; name the file")),
    }
}

fn is_table(path: &Path) -> bool {
    let name = path.to_string_lossy().to_lowercase();
    [".parquet", ".csv", ".csv.gz"].iter().any(|ending| name.ends_with(ending))
}

fn read_csv(path: &Path) -> Result<Vec<Line>, BenchError> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(files::open(path)?);
    let broken = |error: csv::Error| BenchError::read(path, error);
    // Old exports are in Latin-1; ids and numbers read the same in both.
    let text = |record: &csv::ByteRecord| -> Vec<String> {
        record.iter().map(|field| String::from_utf8_lossy(field).trim().to_owned()).collect()
    };
    let columns = Columns::find(&text(&reader.byte_headers().map_err(broken)?.clone()), path)?;
    let mut rows = Vec::new();
    for record in reader.byte_records() {
        rows.push(text(&record.map_err(broken)?));
    }
    lines(rows.into_iter(), columns, path)
}

fn read_parquet(path: &Path) -> Result<Vec<Line>, BenchError> {
    let broken = |error: parquet::errors::ParquetError| BenchError::read(path, error);
    let file = File::open(path).map_err(|error| BenchError::read(path, error))?;
    let reader = SerializedFileReader::new(file).map_err(broken)?;
    let schema = reader.metadata().file_metadata().schema();
    let all: Vec<String> = schema.get_fields().iter().map(|field| field.name().to_owned()).collect();
    let places = Columns::find(&all, path)?;
    let places = [places.invoice, places.code, places.quantity, places.date, places.price, places.customer];
    let fields = places.map(|place| schema.get_fields()[place].clone()).to_vec();
    let needed = Type::group_type_builder(schema.name()).with_fields(fields).build().map_err(broken)?;
    let mut rows = Vec::new();
    for row in reader.get_row_iter(Some(needed)).map_err(broken)? {
        let row = row.map_err(broken)?;
        rows.push(row.get_column_iter().map(|(_, field)| text(field)).collect::<Vec<_>>());
    }
    let columns = Columns { invoice: 0, code: 1, quantity: 2, date: 3, price: 4, customer: 5 };
    lines(rows.into_iter(), columns, path)
}

fn text(field: &Field) -> String {
    match field {
        Field::Null => String::new(),
        Field::Str(text) => text.trim().to_owned(),
        Field::TimestampMillis(at) | Field::TimestampMicros(at) => at.to_string(),
        Field::Date(days) => (i64::from(*days) * DAY_S).to_string(),
        // Where numbers have holes they are often kept as floats.
        Field::Double(value) if value.is_nan() => String::new(),
        Field::Double(value) => value.to_string(),
        Field::Float(value) => value.to_string(),
        other => other.to_string(),
    }
}

/// What was sold among rows of text.
fn lines(
    rows: impl ExactSizeIterator<Item = Vec<String>>,
    columns: Columns,
    path: &Path,
) -> Result<Vec<Line>, BenchError> {
    let rows: Vec<Vec<String>> = rows.collect();
    let at = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
    let dates = Dates::of(rows.iter().map(|row| row.get(columns.date).map_or("", String::as_str)));
    let mut lines = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        let problem = |what: &str, value: String| BenchError::Line {
            path: path.to_owned(),
            line: place + 2,
            problem: format!("{what} `{}`", value.chars().take(40).collect::<String>()),
        };
        let number = |column: usize, what: &str| {
            let value = at(row, column);
            value.parse::<f64>().map_err(|_| problem(what, value))
        };
        let invoice = at(row, columns.invoice);
        let (quantity, price) = (number(columns.quantity, "no quantity:")?, number(columns.price, "no price:")?);
        let date = at(row, columns.date);
        let at_s = dates.seconds(&date).ok_or_else(|| problem("no date:", date))?;
        let code = at(row, columns.code).to_uppercase();
        if quantity > 0.0 && price > 0.0 && !invoice.to_uppercase().starts_with('C') && !code.is_empty() {
            let customer = at(row, columns.customer);
            let customer = customer.strip_suffix(".0").unwrap_or(&customer).to_owned();
            lines.push(Line { invoice, code, at_s, customer });
        }
    }
    Ok(lines)
}

/// How a source writes its dates.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Dates {
    MonthFirst,
    DayFirst,
}

impl Dates {
    /// Dates with slashes have the month first unless a first number is above 12.
    fn of<'a>(dates: impl Iterator<Item = &'a str>) -> Self {
        let first = |date: &str| date.split_once('/').and_then(|(first, _)| first.parse::<u32>().ok());
        let mut dates = dates.take(1_000_000);
        if dates.any(|date| first(date).is_some_and(|first| (13..=31).contains(&first))) {
            Self::DayFirst
        } else {
            Self::MonthFirst
        }
    }

    fn seconds(self, text: &str) -> Option<i64> {
        if let Ok(number) = text.parse::<i64>() {
            return Some(seconds_of(number));
        }
        let slashes = match self {
            Self::MonthFirst => ["%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%y %H:%M", "%m/%d/%Y"],
            Self::DayFirst => ["%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%y %H:%M", "%d/%m/%Y"],
        };
        let text = text.strip_suffix('Z').unwrap_or(text);
        let parse = |format: &&str| jiff::civil::DateTime::strptime(format, text).ok();
        let parsed = text.parse::<jiff::civil::DateTime>().ok();
        let parsed = parsed.or_else(|| ["%Y-%m-%d %H:%M"].iter().chain(&slashes).find_map(parse));
        let day = || slashes.last().and_then(|format| jiff::civil::Date::strptime(format, text).ok());
        let parsed = parsed.or_else(|| day().map(|day| day.at(0, 0, 0, 0)));
        parsed?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|at| at.timestamp().as_second())
    }
}

/// Seconds from seconds, milli-, micro- or nanoseconds, told apart by size (right for the years 1973 to 2286).
fn seconds_of(number: i64) -> i64 {
    match number.unsigned_abs() {
        100_000_000_000_000_000.. => number / 1_000_000_000,
        100_000_000_000_000.. => number / 1_000_000,
        100_000_000_000.. => number / 1_000,
        _ => number,
    }
}

/// Drops codes that are no products. Where fewer than three in four codes have digits, digits tell nothing.
fn products_only(lines: Vec<Line>) -> Vec<Line> {
    let has_digit = |code: &str| code.bytes().any(|byte| byte.is_ascii_digit());
    let codes: FxHashSet<&str> = lines.iter().map(|line| line.code.as_str()).collect();
    let telling = codes.iter().filter(|code| has_digit(code)).count() * 4 >= codes.len() * 3;
    let product = |line: &Line| {
        let listed = NO_PRODUCTS.contains(&line.code.as_str()) || line.code.starts_with("GIFT_");
        !listed && (!telling || has_digit(&line.code))
    };
    lines.into_iter().filter(product).collect()
}

struct Basket {
    at_s: i64,
    customer: Option<usize>,
    items: Vec<u32>,
}

/// Baskets, oldest first, with dense items and customers.
struct Shop {
    baskets: Vec<Basket>,
    item_names: Vec<String>,
    customers: usize,
}

impl Shop {
    fn of(lines: Vec<Line>) -> Self {
        let mut items: FxHashMap<String, u32> = FxHashMap::default();
        let mut customers: FxHashMap<String, usize> = FxHashMap::default();
        let mut invoices: FxHashMap<(String, String), usize> = FxHashMap::default();
        let (mut baskets, mut item_names): (Vec<Basket>, Vec<String>) = (Vec::new(), Vec::new());
        for line in lines {
            let item = *items.entry(line.code).or_insert_with_key(|code| {
                item_names.push(code.clone());
                item_names.len() as u32 - 1
            });
            let next = customers.len();
            let customer = (!line.customer.is_empty()).then(|| *customers.entry(line.customer.clone()).or_insert(next));
            let place = *invoices.entry((line.invoice, line.customer)).or_insert(baskets.len());
            if place == baskets.len() {
                baskets.push(Basket { at_s: line.at_s, customer, items: Vec::new() });
            }
            baskets[place].at_s = baskets[place].at_s.min(line.at_s);
            baskets[place].items.push(item);
        }
        baskets.iter_mut().for_each(|basket| basket.items = distinct(&basket.items));
        baskets.sort_by_key(|basket| basket.at_s);
        Self { baskets, item_names, customers: customers.len() }
    }

    fn cut(&self, set: String, seed: u64) -> Task {
        let (first_s, last_s) = (self.baskets[0].at_s, self.baskets[self.baskets.len() - 1].at_s);
        let days = (last_s.div_euclid(DAY_S) - first_s.div_euclid(DAY_S) + 1).max(1);
        let part_s = (days / 10).max(1) * DAY_S;
        let end_s = (last_s.div_euclid(DAY_S) + 1) * DAY_S;
        let (test_from_s, choose_from_s) = (end_s - part_s, end_s - 2 * part_s);
        let before_test = self.questions(test_from_s, end_s, true);
        let before_choosing = self.questions(choose_from_s, test_from_s, false);
        let (learning, choosing) = super::task::one_group_in_five(before_choosing);
        let rng = Rng::from_seed(seed);
        Task {
            set,
            fit: self.before(choose_from_s),
            learning: sample(learning, LEARNING, &mut rng.split(1)),
            choosing: sample(choosing, CHOOSING, &mut rng.split(2)),
            train: Some(self.before(test_from_s)),
            test: before_test.into_iter().map(|(_, example)| example).collect(),
            ordered: true,
            repeats: true,
            metrics: vec![Metric::Ndcg(20), Metric::Recall(20), Metric::HitRate(20), Metric::Mrr(20), Metric::Ndcg(10)],
            objective: Metric::Ndcg(20),
            item_names: self.item_names.clone(),
        }
    }

    /// Questions about baskets from `from_s` to `until_s`, of customers who bought before `from_s`: the first of each customer
    /// only, or all, each with everything bought before it.
    fn questions(&self, from_s: i64, until_s: i64, first_only: bool) -> Vec<(usize, Example)> {
        let mut histories = vec![Vec::new(); self.customers];
        let mut asked = vec![false; self.customers];
        let mut questions = Vec::new();
        for basket in self.baskets.iter().take_while(|basket| basket.at_s < until_s) {
            let Some(customer) = basket.customer else { continue };
            let history: &mut Vec<_> = &mut histories[customer];
            if basket.at_s >= from_s && !(first_only && asked[customer]) {
                let known_before = history.first().is_some_and(|first: &merx_models::Interaction| first.at_s < from_s);
                if known_before {
                    asked[customer] = true;
                    let (history, relevant) = (history.clone(), basket.items.clone());
                    let session_start = history.len();
                    questions.push((
                        customer,
                        Example { history, session_start, now_s: basket.at_s, relevant, ..Example::default() },
                    ));
                }
            }
            history.extend(together(&basket.items, basket.at_s, Purchased));
        }
        questions
    }

    /// What was known at `until_s`: a row a customer, and one for each basket without a customer.
    fn before(&self, until_s: i64) -> TrainingSet {
        let mut rows = vec![Vec::new(); self.customers];
        let mut baskets = Interactions::new();
        for basket in self.baskets.iter().take_while(|basket| basket.at_s < until_s) {
            let entries = together(&basket.items, basket.at_s, Purchased);
            baskets.push_row(entries.iter().copied());
            match basket.customer {
                Some(customer) => rows[customer].extend(entries),
                None => rows.push(entries),
            }
        }
        let mut histories = Interactions::new();
        rows.into_iter().filter(|row| !row.is_empty()).for_each(|row| histories.push_row(row));
        TrainingSet { item_count: self.item_names.len(), histories, baskets, now_s: until_s, ..TrainingSet::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

    fn shop(rows: &str) -> Result<Task, BenchError> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("shop.csv"), format!("{HEADER}{rows}")).unwrap();
        invoices(dir.path(), "shop".to_owned(), 1)
    }

    #[test]
    fn cancelled_free_and_unreal_lines_are_dropped_and_the_cut_is_by_time() {
        let mut rows = String::new();
        for day in 1..=20 {
            rows += &format!("5{day:02},10A,x,1,2011-01-{day:02} 10:00:00,1.5,7,UK\n");
            rows += &format!("5{day:02},POST,postage,1,2011-01-{day:02} 10:00:00,9,7,UK\n");
            rows += &format!("5{day:02},10a,x,2,2011-01-{day:02} 10:00:00,1.5,7,UK\n");
        }
        rows += "C9,30,x,1,2011-01-05 10:00:00,1,7,UK\n600,40,x,-1,2011-01-05 10:00:00,1,7,UK\n601,50,x,1,2011-01-05 10:00:00,0,,UK\n";
        rows += "602,20,x,1,2011-01-05 10:00:00,1,,UK\n603,21,x,1,2011-01-06 10:00:00,1,,UK\n700,20,x,1,2011-01-19 11:00:00,1,8.0,UK\n";
        let task = shop(&rows).unwrap();
        assert_eq!(task.item_names, ["10A", "20", "21"]);
        // Customer 8 has no history; customer 7 is asked about the first of the last two days.
        assert_eq!(task.test.len(), 1);
        assert_eq!((task.test[0].history.len(), task.test[0].relevant.as_slice()), (18, &[0][..]));
        assert_eq!(task.train.as_ref().unwrap().histories.rows(), 3);
        assert_eq!(task.learning.len() + task.choosing.len(), 2, "the two days before are all asked about");
        assert!(task.fit.histories.iter().flatten().all(|entry| entry.at_s < task.learning[0].now_s));
    }

    #[test]
    fn dates_are_read_in_the_ways_that_shops_write_them() {
        let expected = Some(1_291_191_960);
        for text in [
            "2010-12-01 08:26:00",
            "2010-12-01T08:26:00",
            "2010-12-01 08:26",
            "12/1/2010 8:26",
            "1291191960000000",
            "1291191960000",
        ] {
            assert_eq!(Dates::MonthFirst.seconds(text), expected, "{text}");
        }
        assert_eq!(Dates::of(["1/12/2010 8:26", "13/12/2010 8:26"].into_iter()), Dates::DayFirst);
        assert_eq!(Dates::DayFirst.seconds("1/12/2010 8:26"), expected);
        assert_eq!(Dates::MonthFirst.seconds("soon"), None);
    }

    #[test]
    fn broken_tables_say_where() {
        let error = |rows: &str| shop(rows).unwrap_err().to_string();
        assert!(error("1,10,x,many,2011-01-01 10:00:00,1,7,UK\n").contains("line 2: no quantity: `many`"));
        assert!(error("1,10,x,1,soon,1,7,UK\n").contains("line 2: no date: `soon`"));
        assert!(error("").contains("holds no rows"));
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("shop.csv"), "a,b\n1,2\n").unwrap();
        assert!(invoices(dir.path(), String::new(), 1).unwrap_err().to_string().contains("no column invoiceno"));
        std::fs::write(dir.path().join("shop.csv"), "").unwrap();
        assert!(invoices(dir.path(), String::new(), 1).is_err());
        std::fs::remove_file(dir.path().join("shop.csv")).unwrap();
        std::fs::write(dir.path().join("shop.parquet"), "PAR1nonsense").unwrap();
        assert!(matches!(invoices(dir.path(), String::new(), 1), Err(BenchError::Read { .. })));
    }
}
