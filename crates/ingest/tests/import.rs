//! Files into a shop: every row accounted for, twice the same, and no row lost or doubled by a crash.

#![allow(clippy::unwrap_used, reason = "a step that fails fails its test")]

use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use merx_domain::{Currency, EventKind, MarketId, Money, OrderLineKind, ProductId, ProductStatus, TimestampMs};
use merx_ingest::import::{
    Counts, Entity, ImportError, ImportOptions, ImportReport, Mapping, MappingChoice, plan, run,
};
use merx_ingest::vault::{MasterKey, Vault};
use merx_ingest::{Ingest, MIGRATIONS};
use merx_store::{LogSettings, Records, Row, Store, StoreError, Transaction, Value};
use proptest::prelude::*;

struct Shop {
    folder: tempfile::TempDir,
    key: MasterKey,
    store: Store,
    ingest: Ingest,
}

/// Records that fail at the n-th transaction, as a crash just before or just after its commit does.
struct Failing {
    records: Arc<dyn Records>,
    left: AtomicI64,
    after_commit: bool,
}

impl Records for Failing {
    fn query(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>, StoreError> {
        self.records.query(sql, parameters)
    }

    fn transaction(
        &self,
        work: &mut dyn FnMut(&mut dyn Transaction) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        if left > 0 || (left == 0 && self.after_commit) {
            self.records.transaction(work)?;
        }
        if left > 0 { Ok(()) } else { Err(StoreError::Unavailable { what: "records", detail: "crash".into() }) }
    }

    fn scrub(&self, scrub: merx_store::Scrub) -> Result<(), StoreError> {
        self.records.scrub(scrub)
    }
}

impl Shop {
    fn new() -> Self {
        Self::open(tempfile::tempdir().unwrap(), MasterKey::random().unwrap(), None)
    }

    fn open(folder: tempfile::TempDir, key: MasterKey, crash: Option<(i64, bool)>) -> Self {
        let store = Store::open_embedded(folder.path(), MIGRATIONS, LogSettings::default()).unwrap();
        let vault = Vault::open(Arc::clone(&store.records), vec![key.clone()], 100_000).unwrap();
        let records: Arc<dyn Records> = match crash {
            Some((left, after_commit)) => {
                Arc::new(Failing { records: Arc::clone(&store.records), left: AtomicI64::new(left), after_commit })
            }
            None => Arc::clone(&store.records),
        };
        let ingest = Ingest::new(records, Arc::clone(&store.log), vault);
        Self { folder, key, store, ingest }
    }

    fn reopened(self, crash: Option<(i64, bool)>) -> Self {
        let Self { folder, key, store, ingest } = self;
        drop((store, ingest));
        Self::open(folder, key, crash)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn rejects_path(&self) -> PathBuf {
        self.folder.path().join("rejects.jsonl")
    }

    fn rejects(&self) -> Vec<(u64, String)> {
        let text = std::fs::read_to_string(self.rejects_path()).unwrap();
        let line = |line: &str| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            (value["line"].as_u64().unwrap(), value["code"].as_str().unwrap().to_owned())
        };
        text.lines().map(line).collect()
    }

    fn try_import(&self, path: &Path, choice: MappingChoice) -> Result<ImportReport, ImportError> {
        let at = TimestampMs::parse("2026-01-15T00:00:00Z").unwrap();
        let options = ImportOptions { dry_run: false, rejects: Some(self.rejects_path()), at };
        let report =
            run(plan(&[path.to_owned()], &choice, at)?, &self.ingest, &options, &mut |_| ControlFlow::Continue(()))?;
        adds_up(&report.total);
        Ok(report)
    }

    fn import(&self, path: &Path, mapping: &str) -> ImportReport {
        self.try_import(path, given(mapping)).unwrap()
    }

    fn detect(&self, path: &Path) -> ImportReport {
        self.try_import(path, MappingChoice::Detect).unwrap()
    }

    /// What the shop knows, without the pseudonyms, which differ from vault to vault.
    fn state(&self) -> Vec<String> {
        let mut state = Vec::new();
        for stored in self.ingest.catalogue.list(None, 100_000).unwrap() {
            state.push(format!("{} {} {:?}", stored.product.id, stored.number.0, stored.product));
        }
        for stored in self.ingest.orders.list(None, 100_000).unwrap() {
            let mut order = stored.order;
            let known = order.subject.take().is_some();
            state.push(format!("{known} {order:?}"));
        }
        let events = self.store.log.read(None, 1_000_000).unwrap();
        let mut events: Vec<_> =
            events.into_iter().map(|(_, e)| format!("{} {:?} {:?}", e.id, e.kind, e.lines)).collect();
        events.sort();
        state.extend(events);
        state
    }
}

fn given(mapping: &str) -> MappingChoice {
    MappingChoice::Given(Box::new(mapping.parse::<Mapping>().unwrap()))
}

fn adds_up(counts: &Counts) {
    assert_eq!(counts.read, counts.accepted + counts.unchanged + counts.rejected, "{counts:?}");
    assert_eq!(counts.rejected, counts.rejected_by_code.values().sum::<u64>(), "{counts:?}");
}

const ORDERS: &str = r#"
entity = "orders"
currency = "EUR"
time_zone = "Europe/Berlin"
date_formats = ["%d.%m.%Y %H:%M"]
decimal_comma = true
[fields]
order = "Beleg"
placed_at = "Datum"
customer = "Kunde"
product = "Artikel"
name = "Text"
quantity = "Menge"
unit_price = "Preis"
[constants]
market = "DE"
"#;

#[test]
fn orders_of_a_csv_file_with_every_row_accounted_for() {
    let shop = Shop::new();
    let file = shop.file(
        "orders.csv",
        "Beleg,Datum,Kunde,Artikel,Text,Menge,Preis\n\
         1,01.07.2026 12:30,k1,a,Topf,2,\"1.234,50\"\n\
         1,01.07.2026 12:30,k1,b,Rechen,1,\"0,10\"\n\
         2,01.07.2026 12:31,,a,Topf,1,\"3,00\"\n\
         3,gestern,k1,a,Topf,1,\"3,00\"\n\
         4,01.07.2026 12:40,k1,a,TOPF!,0,\"3,00\"\n\
         ,01.07.2026 12:40,k1,a,Topf,1,\"3,00\"\n\
         5,01.07.2026 12:40,k1,a\n\
         6,01.07.2026 12:50,k2,a,topf,-1,\"3,00\"\n",
    );
    let report = shop.import(&file, ORDERS);
    let counts = &report.total;
    assert_eq!((counts.read, counts.accepted, counts.unchanged, counts.rejected), (8, 4, 0, 4));
    assert_eq!((counts.entities_created, report.files[0].entity), (3, Entity::Orders));
    let expected = [(5, "invalid_date"), (6, "no_quantity"), (7, "missing_value"), (8, "unreadable_row")]
        .map(|(l, c)| (l, c.to_owned()));
    assert_eq!(shop.rejects(), expected);

    let orders = shop.ingest.orders.list(None, 10).unwrap();
    let first = &orders[0].order;
    assert_eq!(first.placed_at.to_string(), "2026-07-01T10:30:00.000Z");
    assert_eq!((first.market.as_str(), first.lines.len()), ("DE", 2));
    assert_eq!(first.lines[0].unit_price, Money::new(123_450, Currency::EUR));
    assert_eq!(first.subject, shop.ingest.customer("k1").unwrap());
    assert!(first.subject.is_some() && orders[1].order.subject.is_none());
    assert_eq!(orders[2].order.lines[0].kind, OrderLineKind::Return);
    let kinds: Vec<_> = shop.store.log.read(None, 10).unwrap().into_iter().map(|(_, e)| e.kind).collect();
    assert_eq!(kinds, [EventKind::OrderCompleted, EventKind::OrderCompleted, EventKind::OrderRefunded]);
    // The name is the most frequent spelling of lines that count.
    let product = shop.ingest.catalogue.get(&["a".parse().unwrap()]).unwrap()[0].clone().unwrap().product;
    assert_eq!(product.name, "Topf");
    assert_eq!(product.price_in(&MarketId::default()), Some(Money::new(300, Currency::EUR)));
}

#[test]
fn run_twice_it_changes_nothing_and_says_so() {
    let shop = Shop::new();
    let file = shop.file("orders.csv", big_csv(300));
    let first = shop.import(&file, ORDERS).total;
    let state = shop.state();
    let shop = shop.reopened(None);
    let second = shop.import(&file, ORDERS).total;
    assert_eq!(shop.state(), state);
    assert_eq!((second.accepted, second.unchanged, second.rejected), (0, first.accepted, first.rejected));
    assert_eq!((second.entities_created, second.entities_unchanged), (0, first.entities_created));
}

/// Orders of 1 to 7 lines over some customers; every 50th line is bad, and every 40th order lies in two places.
fn big_csv(orders: usize) -> String {
    let mut csv = "Beleg,Datum,Kunde,Artikel,Text,Menge,Preis\n".to_owned();
    let mut line = 0;
    let mut scattered = Vec::new();
    for order in 0..orders {
        for item in 0..=order % 7 {
            line += 1;
            let quantity = if line % 50 == 0 { 0 } else { 1 + item };
            let row = format!(
                "o{order},01.07.2026 12:{:02},k{},p{},Text {},{quantity},\"{},99\"\n",
                order % 60,
                order % 97,
                (order * 7 + item) % 211,
                (order * 7 + item) % 211,
                item
            );
            if order % 40 == 39 && item > 2 { scattered.push(row) } else { csv.push_str(&row) }
        }
    }
    csv.extend(scattered);
    csv
}

#[test]
fn rows_of_one_order_in_several_places_are_one_order() {
    let shop = Shop::new();
    let file = shop.file("orders.csv", big_csv(100));
    let counts = shop.import(&file, ORDERS).total;
    let order = shop.ingest.orders.get(&["o39".parse().unwrap()]).unwrap()[0].clone().unwrap().order;
    assert_eq!(order.lines.len(), 5);
    assert_eq!(counts.entities_created, 100);
}

#[test]
fn a_crash_at_any_moment_neither_loses_nor_doubles_a_row() {
    let csv = big_csv(8_000);
    let whole = Shop::new();
    let expected = whole.import(&whole.file("orders.csv", &csv), ORDERS).total;
    let (state, rejects) = (whole.state(), whole.rejects());
    assert!(expected.read > 30_000);
    let mut crashes = 0;
    let mut resumed = 0;
    for after_commit in [false, true] {
        for moment in 0.. {
            let shop = Shop::new().reopened(Some((moment, after_commit)));
            let file = shop.file("orders.csv", &csv);
            let crashed = shop.try_import(&file, given(ORDERS)).is_err();
            let shop = shop.reopened(None);
            if !crashed {
                assert_eq!(shop.state(), state);
                break;
            }
            crashes += 1;
            let report = shop.import(&file, ORDERS);
            resumed += usize::from(report.files[0].resumed_at > 0);
            assert_eq!(shop.state(), state, "crash at transaction {moment}");
            assert_eq!(shop.rejects(), rejects, "crash at transaction {moment}");
            assert_eq!(report.total.read, expected.read);
            let rows = |counts: &Counts| (counts.accepted + counts.unchanged, counts.rejected);
            assert_eq!(rows(&report.total), rows(&expected));
        }
    }
    assert!(crashes >= 10 && resumed >= 2, "{crashes} crashes, {resumed} resumed");
}

#[test]
fn an_interrupted_import_goes_on_where_it_was() {
    let shop = Shop::new();
    let file = shop.file("orders.csv", big_csv(8_000));
    let options = ImportOptions { dry_run: false, rejects: None, at: TimestampMs(0) };
    let planned = plan(std::slice::from_ref(&file), &given(ORDERS), options.at).unwrap();
    let mut seen = Vec::new();
    let interrupted = run(planned, &shop.ingest, &options, &mut |progress| {
        seen.push((progress.rows, progress.rows_total));
        ControlFlow::Break(())
    });
    assert!(matches!(interrupted, Err(ImportError::Interrupted)));
    let (rows, total) = seen[0];
    assert!(seen.len() == 1 && rows >= 20_000 && rows < total);
    let report = shop.import(&file, ORDERS);
    assert_eq!(report.files[0].resumed_at, rows);
    assert_eq!(report.total.entities_created, 8_000);
}

#[test]
fn a_dry_run_counts_and_stores_nothing() {
    let shop = Shop::new();
    let file = shop.file("orders.csv", big_csv(50));
    let options = ImportOptions { dry_run: true, rejects: Some(shop.rejects_path()), at: TimestampMs(0) };
    let planned = plan(&[file], &given(ORDERS), options.at).unwrap();
    let report = run(planned, &shop.ingest, &options, &mut |_| ControlFlow::Continue(())).unwrap();
    adds_up(&report.total);
    assert!(report.total.accepted > 100);
    assert_eq!(shop.rejects().len() as u64, report.total.rejected);
    assert!(shop.state().is_empty());
}

const PRODUCTS: &str = r#"
entity = "products"
currency = "EUR"
category_separator = "/"
[fields]
product = "id"
variant = "sku"
name = "name"
category = "path"
price = "price"
cost = "cost"
images = "pictures"
status = "status"
[attributes]
colour = "colour"
weight = "weight.kg"
"#;

#[test]
fn products_of_json_lines_keep_what_another_file_said() {
    let shop = Shop::new();
    let lines = r#"{"id":"pot","sku":"pot-s","name":"Pot","path":"Garden/Pots","price":12.5,"pictures":["a.jpg","b.jpg"],"colour":"red","weight":{"kg":1.5},"status":"active"}
{"id":"pot","sku":"pot-l","price":"18.00"}

{"id":7,"name":"Seven","status":"perhaps"}
[1]
{"id":8,"name":"Eight","status":"draft"}
"#;
    let counts = shop.import(&shop.file("a.jsonl", lines), PRODUCTS).total;
    assert_eq!((counts.read, counts.accepted, counts.rejected, counts.entities_created), (5, 3, 2, 2));
    assert_eq!(shop.rejects(), [(4, "invalid_status".to_owned()), (5, "unreadable_row".to_owned())]);
    // A second file knows only costs.
    let costs =
        "entity = \"products\"\ncurrency = \"EUR\"\n[fields]\nproduct = \"id\"\nvariant = \"sku\"\ncost = \"cost\"\n";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"id\tsku\tcost\npot\tpot-s\t7\n").unwrap();
    let counts = shop.import(&shop.file("costs.tsv.gz", gzip.finish().unwrap()), costs).total;
    assert_eq!((counts.accepted, counts.entities_updated), (1, 1));
    let pot = shop.ingest.catalogue.get(&["pot".parse().unwrap()]).unwrap()[0].clone().unwrap().product;
    assert_eq!((pot.name.as_str(), pot.category_path.join("|").as_str()), ("Pot", "Garden|Pots"));
    assert_eq!((pot.variants.len(), pot.images.len()), (2, 2));
    assert_eq!(pot.variants[0].cost, Some(Money::new(700, Currency::EUR)));
    assert_eq!(pot.variants[0].prices[0].amount, Money::new(1250, Currency::EUR));
    assert_eq!(pot.attributes.len(), 2);
    let eight = shop.ingest.catalogue.get(&["8".parse().unwrap()]).unwrap()[0].clone().unwrap().product;
    assert_eq!(eight.status, ProductStatus::Hidden);
}

#[test]
fn product_feeds_are_recognised_and_bring_prices_and_stock() {
    let shop = Shop::new();
    let tsv = shop.file("feed.tsv", include_str!("fixtures/feeds/feed.tsv"));
    let counts = shop.detect(&tsv).total;
    assert_eq!((counts.read, counts.accepted, counts.rejected, counts.entities_created), (4, 3, 1, 2));
    let get = |id: &str| shop.ingest.catalogue.get(&[id.parse().unwrap()]).unwrap()[0].clone().unwrap().product;
    let pot = get("POT");
    assert_eq!(pot.variants.iter().map(|v| v.id.as_str()).collect::<Vec<_>>(), ["POT-S", "POT-L"]);
    let price = &pot.variants[0].prices[0];
    assert_eq!((price.amount.minor, price.list_amount.unwrap().minor), (900, 1200));
    assert_eq!(pot.variants[0].images.len(), 3);
    assert_eq!(pot.category_path.join("|"), "Garden|Pots");
    let rake: ProductId = "RAKE".parse().unwrap();
    assert_eq!(shop.ingest.stock.of_product(&rake).unwrap()[0].quantity, 0);
    assert!(shop.ingest.stock.of_product(&"POT".parse().unwrap()).unwrap().is_empty());
    assert_eq!(shop.detect(&tsv).total.unchanged, 3);

    let counts = shop.detect(&shop.file("feed.xml", include_str!("fixtures/feeds/feed.xml"))).total;
    assert_eq!((counts.read, counts.accepted, counts.entities_updated), (2, 2, 2));
    assert_eq!(get("POT").description, "Pots & more");
    assert_eq!(get("POT").variants.len(), 2);
    assert!(shop.ingest.stock.of_product(&rake).unwrap().is_empty());
    assert_eq!(get("RAKE").price_in(&MarketId::default()), Some(Money::new(2100, Currency::EUR)));
}

#[test]
fn stock_and_events_are_imported_once() {
    let shop = Shop::new();
    let stock = "entity = \"stock\"\n[fields]\nproduct = \"p\"\nvariant = \"v\"\nlocation = \"l\"\nquantity = \"n\"\n";
    let file = shop.file("stock.csv", "p,v,l,n\npot,pot-s,north,4\npot,pot-s,south,x\npot,,north,2\n");
    let counts = shop.import(&file, stock).total;
    assert_eq!((counts.accepted, counts.rejected), (2, 1));
    assert_eq!(shop.import(&file, stock).total.unchanged, 2);

    let events = "entity = \"events\"\ncurrency = \"EUR\"\n[fields]\nevent = \"what\"\nanonymous = \"who\"\noccurred_at = \"when\"\nproduct = \"p\"\n";
    let file = shop.file(
        "events.csv",
        "what,who,when,p\nProduct Viewed,v1,2026-01-01T10:00:00Z,pot\nview_item,v1,1767261600,pot\nHop,v2,2026-01-01,\nProduct Viewed,,2026-01-01T10:00:00Z,pot\nProduct Viewed,v1,2026-01-01T10:00:00Z,pot\n",
    );
    let counts = shop.import(&file, events).total;
    assert_eq!((counts.accepted, counts.unchanged, counts.rejected), (3, 1, 1));
    let stored: Vec<_> = shop.store.log.read(None, 10).unwrap().into_iter().map(|(_, event)| event).collect();
    let kinds: Vec<_> = stored.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::ProductViewed, EventKind::ProductViewed, EventKind::Custom]);
    assert_eq!(shop.import(&file, events).total.unchanged, 4);
}

#[test]
fn invoices_in_the_style_of_online_retail() {
    let shop = Shop::new();
    // The layout of the set, with rows of our own.
    let csv = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n\
        700001,10001A,GREEN POT,6,2026-01-05 08:26:00,2.55,90001,United Kingdom\n\
        700001,10001a,GREEN POT,6,2026-01-05 08:26:00,2.65,90001,United Kingdom\n\
        700001,POST,POSTAGE,1,2026-01-05 08:26:00,18.00,90001,United Kingdom\n\
        700002,10001A,green pot?,2,2026-01-05 09:00:00,2.95,,EIRE\n\
        C700003,10001A,GREEN POT,-2,2026-01-06 09:00:00,2.55,90001,United Kingdom\n\
        700004,10001A,damaged,-40,2026-01-06 10:00:00,0.00,,United Kingdom\n\
        700005,10002,found,3,2026-01-06 10:00:00,0,,United Kingdom\n\
        700006,10003,GIFT BOX,1,2026-01-06 11:00:00,0,90002,Unspecified\n\
        A700007,B,Adjust bad debt,1,2026-01-06 12:00:00,-11.10,,United Kingdom\n";
    let file = shop.file("invoices.csv", csv);
    let counts = shop.detect(&file).total;
    assert_eq!((counts.read, counts.accepted, counts.rejected, counts.entities_created), (9, 6, 3, 4));
    let codes: Vec<_> = shop.rejects();
    assert_eq!(
        codes,
        [(7, "stock_adjustment".to_owned()), (8, "stock_adjustment".to_owned()), (10, "not_a_sale".to_owned())]
    );
    let products: Vec<_> =
        shop.ingest.catalogue.list(None, 10).unwrap().into_iter().map(|stored| stored.product).collect();
    let shown: Vec<_> = products.iter().map(|p| (p.id.as_str(), p.name.as_str(), p.status)).collect();
    assert_eq!(
        shown,
        [
            ("10001A", "GREEN POT", ProductStatus::Visible),
            ("10003", "GIFT BOX", ProductStatus::Visible),
            ("POST", "POSTAGE", ProductStatus::Hidden)
        ]
    );
    let orders: Vec<_> = shop.ingest.orders.list(None, 10).unwrap().into_iter().map(|stored| stored.order).collect();
    let markets: Vec<_> = orders.iter().map(|order| (order.id.as_str(), order.market.as_str())).collect();
    assert_eq!(markets, [("700001", "GB"), ("700002", "IE"), ("700006", "default"), ("C700003", "GB")]);
    assert_eq!(orders[0].lines[2].unit_price, Money::new(1800, Currency::GBP));
    let customer = shop.ingest.customer("90001").unwrap().unwrap();
    assert_eq!(shop.ingest.orders.of_subject(customer, 10).unwrap().len(), 2);
}

#[test]
fn a_parquet_table_of_till_lines() {
    use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
    let shop = Shop::new();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("household_id", Arc::new(StringArray::from(vec!["9", "9", "8", "8"]))),
        ("store_id", Arc::new(Int64Array::from(vec![1, 1, 1, 1]))),
        ("basket_id", Arc::new(Int64Array::from(vec![77, 77, 78, 78]))),
        ("product_id", Arc::new(Int64Array::from(vec![5, 6, 5, 6]))),
        ("quantity", Arc::new(Float64Array::from(vec![Some(3.0), Some(1.0), Some(0.0), None]))),
        ("sales_value", Arc::new(Float64Array::from(vec![1.0, 2.5, 0.0, 4.0]))),
        // 2026-01-05 12:00 on the wall.
        ("transaction_timestamp", Arc::new(TimestampMicrosecondArray::from(vec![1_767_614_400_000_000; 4]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let path = shop.folder.path().join("transactions.parquet");
    let file = std::fs::File::create(&path).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();

    let counts = shop.detect(&path).total;
    assert_eq!((counts.read, counts.accepted, counts.rejected), (4, 3, 1));
    let orders = shop.ingest.orders.list(None, 10).unwrap();
    let lines: Vec<_> =
        orders[0].order.lines.iter().map(|l| (l.product.as_str(), l.quantity, l.unit_price.minor)).collect();
    assert_eq!(lines, [("5", 1, 34), ("5", 2, 33), ("6", 1, 250)]);
    assert_eq!(orders[0].order.placed_at.to_string(), "2026-01-05T17:00:00.000Z");
    assert!(shop.ingest.customer("9").unwrap().is_some());
}

#[test]
fn what_cannot_be_read_is_said() {
    let shop = Shop::new();
    let file = shop.file("orders.csv", "Beleg,Datum\n");
    let missing = shop.try_import(&file, given(ORDERS)).unwrap_err();
    assert!(matches!(&missing, ImportError::NoColumn { column, .. } if column == "Artikel"), "{missing}");
    assert!(matches!(shop.try_import(&file, MappingChoice::Detect), Err(ImportError::Unknown { .. })));
    // In a folder, what is not known is left aside.
    let report = shop.detect(shop.folder.path());
    let ignored: Vec<_> = report.ignored.iter().filter_map(|(path, _)| path.file_name()?.to_str()).collect();
    assert!(report.files.is_empty() && ignored.contains(&"orders.csv"), "{report:?}");
    let picture = shop.file("logo.png", [0_u8; 4]);
    assert_eq!(shop.detect(&picture).ignored.len(), 1);
    let broken = shop.file("orders.parquet", "no parquet at all");
    assert!(matches!(shop.try_import(&broken, given(ORDERS)), Err(ImportError::Format { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever stands in a file: no panic, and what is read adds up.
    #[test]
    fn any_bytes_add_up(name in prop::sample::select(vec!["a.csv", "a.tsv", "a.jsonl", "a.xml", "a.csv.gz", "a.parquet"]), bytes in proptest::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"\n,\t\"<>&;{}[]:1a".to_vec())], 0..400)) {
        let shop = Shop::new();
        let header: &[u8] = match name {
            "a.csv" => b"Beleg,Datum,Kunde,Artikel,Text,Menge,Preis\n",
            "a.tsv" => b"Beleg\tDatum\tKunde\tArtikel\tText\tMenge\tPreis\n",
            _ => b"",
        };
        let file = shop.file(name, [header, &bytes].concat());
        let choice = if name == "a.xml" { MappingChoice::Detect } else { given(ORDERS) };
        let _ = shop.try_import(&file, choice);
    }
}
