//! Google Merchant product feeds in XML: RSS 2.0 items or Atom entries, streamed.

use std::io::BufRead;

use compact_str::CompactString;
use quick_xml::events::{BytesRef, Event};

use super::source::{Cell, Rows, SourceRow};
use super::{ImportError, Result};

/// Longest text of one member of an item; Google's longest, the description, has 5,000 characters.
const MAX_TEXT_BYTES: usize = 64 * 1024;

/// Items of one batch.
const BATCH_ITEMS: usize = 1_000;

pub(crate) struct FeedRows {
    reader: quick_xml::Reader<Box<dyn BufRead>>,
    columns: Vec<CompactString>,
    items: u64,
}

impl FeedRows {
    pub(crate) fn new(reader: Box<dyn BufRead>, columns: &[CompactString]) -> Self {
        Self { reader: quick_xml::Reader::from_reader(reader), columns: columns.to_vec(), items: 0 }
    }

    /// The next item; `None` at the end of the feed.
    fn item(&mut self) -> Result<Option<SourceRow>> {
        let mut buffer = Vec::new();
        loop {
            match self.reader.read_event_into(&mut buffer).map_err(unreadable)? {
                Event::Start(start) if matches!(start.local_name().as_ref(), "item" | "entry") => {
                    self.items += 1;
                    let line = self.items;
                    return Ok(Some(SourceRow { line, cells: self.members()? }));
                }
                Event::Eof => return Ok(None),
                _ => buffer.clear(),
            }
        }
    }

    /// Texts of the item's direct members under their names without prefix; groups such as `shipping` are passed over.
    /// Several of one name are joined with commas.
    fn members(&mut self) -> Result<std::result::Result<Vec<Cell>, String>> {
        let mut texts: Vec<Option<String>> = vec![None; self.columns.len()];
        let mut buffer = Vec::new();
        let mut depth = 0_usize;
        let mut column = None;
        let mut problem = None;
        loop {
            match self.reader.read_event_into(&mut buffer).map_err(unreadable)? {
                Event::Start(start) => {
                    depth += 1;
                    if depth == 1 {
                        let name = start.local_name();
                        column = self.columns.iter().position(|column| column.as_str() == name.as_ref());
                        if let Some(text) = column.and_then(|column| texts[column].as_mut()) {
                            text.push(',');
                        }
                    }
                }
                Event::End(_) if depth == 0 => break,
                Event::End(_) => depth -= 1,
                Event::Text(text) if depth == 1 => append(&mut texts, column, &text),
                Event::CData(data) if depth == 1 => append(&mut texts, column, &data),
                Event::GeneralRef(reference) if depth == 1 => match resolve(&reference) {
                    Some(character) => append(&mut texts, column, character.encode_utf8(&mut [0; 4])),
                    None => problem = Some("an entity that XML doesn't define".to_owned()),
                },
                Event::Eof => {
                    return Err(ImportError::Unreadable { detail: "the feed ends within an item".to_owned() });
                }
                _ => {}
            }
            buffer.clear();
            if texts.iter().flatten().any(|text| text.len() > MAX_TEXT_BYTES) {
                problem = Some(format!("a text of more than {MAX_TEXT_BYTES} bytes"));
                texts.iter_mut().for_each(|text| *text = None);
            }
        }
        Ok(match problem {
            Some(problem) => Err(problem),
            None => Ok(texts.iter().map(|text| text.as_deref().map_or(Cell::Missing, Cell::text)).collect()),
        })
    }
}

fn append(texts: &mut [Option<String>], column: Option<usize>, text: &str) {
    if let Some(column) = column {
        texts[column].get_or_insert_default().push_str(text);
    }
}

/// The five entities of XML and character references. A feed's own entities are not expanded: nested ones could fill
/// all of memory.
fn resolve(reference: &BytesRef<'_>) -> Option<char> {
    if let Ok(Some(character)) = reference.resolve_char_ref() {
        return Some(character);
    }
    match &**reference {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

fn unreadable(error: impl std::fmt::Display) -> ImportError {
    ImportError::Unreadable { detail: error.to_string() }
}

impl Rows for FeedRows {
    fn next_rows(&mut self) -> Result<Vec<SourceRow>> {
        let mut rows = Vec::new();
        while rows.len() < BATCH_ITEMS {
            match self.item()? {
                Some(row) => rows.push(row),
                None => break,
            }
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(xml: &'static str) -> Result<Vec<SourceRow>> {
        let columns = ["id", "title", "additional_image_link", "price"].map(CompactString::from);
        FeedRows::new(Box::new(xml.as_bytes()), &columns).next_rows()
    }

    #[test]
    fn items_are_read_with_entities_and_repeated_members() {
        let xml = r#"<?xml version="1.0"?><rss xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title>
            <item><g:id>A</g:id><title>Tea &amp; <![CDATA[<b>cake</b>]]> &#65;</title><g:price>1.00 EUR</g:price>
            <g:additional_image_link>x</g:additional_image_link><g:additional_image_link>y</g:additional_image_link>
            <g:shipping><g:price>4.90 EUR</g:price></g:shipping></item></channel></rss>"#;
        let rows = rows(xml).unwrap();
        let cells = rows[0].cells.as_ref().unwrap();
        assert_eq!(cells[..3], ["A", "Tea & <b>cake</b> A", "x,y"].map(Cell::text));
        assert_eq!(cells[3], Cell::text("1.00 EUR"));
    }

    #[test]
    fn entities_of_the_feeds_own_are_not_expanded() {
        let xml = r#"<!DOCTYPE r [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;">]>
            <r><item><id>A</id><title>&b;</title></item><item><id>B</id></item></r>"#;
        let rows = rows(xml).unwrap();
        assert!(rows[0].cells.is_err());
        assert!(rows[1].cells.is_ok());
        assert!(super::FeedRows::new(Box::new(&b"<r><item><id>A"[..]), &[]).next_rows().is_err());
    }
}
