//! The inverted index: tantivy keeps dictionaries, postings, segments and deletions; [`super::retrieve`]
//! reads the postings.
//!
//! Texts come analysed, so that products and queries are read by one analyser.

use std::sync::Arc;

use merx_domain::ProductNumber;
use tantivy::fieldnorm::FieldNormReader;
use tantivy::index::InvertedIndexReader;
use tantivy::schema::{
    FAST, Field as TantivyField, INDEXED, IndexRecordOption, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::{Index, IndexReader, IndexWriter, ReloadPolicy, SegmentReader, TantivyDocument, Term};

use crate::search::SearchError;
use crate::search::document::{FIELD_COUNT, FIELDS};
use crate::search::text::Token;

/// Tantivy's least memory for a writing thread is 15 MB; larger buffers make fewer segments.
const WRITER_BYTES: usize = 64_000_000;

/// One segment, opened.
pub(crate) struct Segment {
    pub reader: SegmentReader,
    pub terms: [Arc<InvertedIndexReader>; FIELD_COUNT],
    pub lengths: [FieldNormReader; FIELD_COUNT],
    /// The product of each document.
    pub products: Vec<u32>,
}

/// What a search reads; later changes don't reach it.
pub(crate) struct Opened {
    pub segments: Vec<Segment>,
    /// Documents, deleted ones that still lie in segments included.
    pub documents: u32,
    /// Mean tokens a document, by field.
    pub mean_lengths: [f32; FIELD_COUNT],
}

pub(crate) struct TextIndex {
    fields: [TantivyField; FIELD_COUNT],
    number: TantivyField,
    reader: IndexReader,
    writer: IndexWriter,
}

impl TextIndex {
    pub(crate) fn in_memory() -> Result<Self, SearchError> {
        let mut schema = Schema::builder();
        let indexing = TextFieldIndexing::default()
            .set_tokenizer("whitespace")
            .set_fieldnorms(true)
            .set_index_option(IndexRecordOption::WithFreqs);
        let options = TextOptions::default().set_indexing_options(indexing);
        let fields = FIELDS.map(|field| schema.add_text_field(field.name(), options.clone()));
        let number = schema.add_u64_field("number", INDEXED | FAST);
        let index = Index::create_in_ram(schema.build());
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let writer = writer(&index)?;
        Ok(Self { fields, number, reader, writer })
    }

    /// Waits for the segments that are being merged. Until they are, memory holds what is merged and what it was merged from, and searches
    /// read many small segments.
    pub(crate) fn settled(self) -> Result<Self, SearchError> {
        let index = self.writer.index().clone();
        self.writer.wait_merging_threads()?;
        self.reader.reload()?;
        let writer = writer(&index)?;
        // What was merged while a reader still had it open was kept for that one.
        writer.garbage_collect_files().wait()?;
        Ok(Self { writer, ..self })
    }

    /// Puts a product in, in place of what stood under its number.
    pub(crate) fn put(
        &self,
        product: ProductNumber,
        tokens: &[Vec<Token>; FIELD_COUNT],
        replaces: bool,
    ) -> Result<(), SearchError> {
        if replaces {
            self.remove(product);
        }
        let mut stored = TantivyDocument::new();
        stored.add_u64(self.number, u64::from(product.0));
        for (field, tokens) in self.fields.iter().zip(tokens) {
            if !tokens.is_empty() {
                stored.add_text(*field, joined(tokens));
            }
        }
        self.writer.add_document(stored)?;
        Ok(())
    }

    pub(crate) fn remove(&self, product: ProductNumber) {
        self.writer.delete_term(Term::from_field_u64(self.number, u64::from(product.0)));
    }

    /// Makes everything put in or removed so far visible to what [`Self::open`] gives from now on.
    pub(crate) fn commit(&mut self) -> Result<(), SearchError> {
        self.writer.commit()?;
        self.reader.reload()?;
        Ok(())
    }

    pub(crate) fn open(&self) -> Result<Opened, SearchError> {
        let searcher = self.reader.searcher();
        let segments = searcher
            .segment_readers()
            .iter()
            .map(|reader| self.segment(reader))
            .collect::<Result<Vec<_>, SearchError>>()?;
        let documents = segments.iter().map(|segment| segment.reader.max_doc()).sum();
        let mut mean_lengths = [0.0; FIELD_COUNT];
        for (field, mean) in mean_lengths.iter_mut().enumerate() {
            let tokens: u64 = segments.iter().map(|segment| segment.terms[field].total_num_tokens()).sum();
            *mean = tokens as f32 / (documents as f32).max(1.0);
        }
        Ok(Opened { segments, documents, mean_lengths })
    }

    fn segment(&self, reader: &SegmentReader) -> Result<Segment, SearchError> {
        let mut terms = Vec::with_capacity(FIELD_COUNT);
        let mut lengths = Vec::with_capacity(FIELD_COUNT);
        for field in self.fields {
            terms.push(reader.inverted_index(field)?);
            lengths.push(reader.get_fieldnorms_reader(field)?);
        }
        let numbers = reader.fast_fields().u64("number")?;
        let products =
            (0..reader.max_doc()).map(|document| numbers.first(document).unwrap_or_default() as u32).collect();
        let wrong = |_| SearchError::Index("a segment lacks a field".to_owned());
        Ok(Segment {
            reader: reader.clone(),
            terms: terms.try_into().map_err(|_| wrong(()))?,
            lengths: lengths.try_into().map_err(|_| wrong(()))?,
            products,
        })
    }

    pub(crate) fn terms(&self) -> TermMaker {
        TermMaker { fields: self.fields }
    }
}

/// Makes tantivy's terms without the index at hand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TermMaker {
    fields: [TantivyField; FIELD_COUNT],
}

impl TermMaker {
    pub(crate) fn term(&self, field: usize, text: &str) -> Term {
        Term::from_field_text(self.fields[field], text)
    }
}

/// One thread writes, so that the same products give the same segments.
fn writer(index: &Index) -> Result<IndexWriter, SearchError> {
    Ok(index.writer_with_num_threads(1, WRITER_BYTES)?)
}

/// As tantivy takes them apart again: no term has a space in it. Tantivy would carry tokens of ours as JSON.
fn joined(tokens: &[Token]) -> String {
    let mut text = String::with_capacity(tokens.iter().map(|token| token.term.len() + 1).sum());
    for token in tokens {
        text.push_str(&token.term);
        text.push(' ');
    }
    text
}
