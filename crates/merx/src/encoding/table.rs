//! Vectors of texts in records, by encoder and text: what was computed or paid for once is kept over restarts.

use std::sync::Arc;

use merx_store::{Records, StoreError, Value};
use rustc_hash::FxHashMap;

/// Leads each vector: one byte a component follows, after the size of a step. Cosines change by about .0005.
const FORMAT: u8 = 1;
const STEPS: f32 = 127.0;
/// Parameters of a statement.
const AT_ONCE: usize = 400;

/// The first half of a text's BLAKE3 digest.
pub(crate) type TextHash = [u8; 16];

pub(crate) fn hash_of(text: &str) -> TextHash {
    let mut hash = [0; 16];
    hash.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
    hash
}

pub(crate) struct VectorTable {
    records: Arc<dyn Records>,
    encoder: String,
}

impl VectorTable {
    pub(crate) fn new(records: Arc<dyn Records>, encoder: &str) -> Self {
        Self { records, encoder: encoder.to_owned() }
    }

    /// What is known of some texts.
    pub(crate) fn get(&self, texts: &[TextHash]) -> Result<FxHashMap<TextHash, Vec<f32>>, StoreError> {
        let mut found = FxHashMap::default();
        for chunk in texts.chunks(AT_ONCE) {
            let places: Vec<String> = (2..chunk.len() + 2).map(|place| format!("${place}")).collect();
            let sql =
                format!("SELECT text, vector FROM text_vectors WHERE encoder = $1 AND text IN ({})", places.join(", "));
            let hashes = chunk.iter().map(|hash| Value::Bytes(hash.to_vec()));
            let values: Vec<Value> = std::iter::once(Value::Text(self.encoder.clone())).chain(hashes).collect();
            for row in self.records.query(&sql, &values)? {
                if let [Value::Bytes(text), Value::Bytes(vector)] = row.0.as_slice()
                    && let (Ok(text), Some(vector)) = (TextHash::try_from(text.as_slice()), unpacked(vector))
                {
                    found.insert(text, vector);
                }
            }
        }
        Ok(found)
    }

    pub(crate) fn put(&self, vectors: &[(TextHash, Vec<f32>)]) -> Result<(), StoreError> {
        let encoder = Value::Text(self.encoder.clone());
        self.records.transaction(&mut |transaction| {
            for (text, vector) in vectors {
                transaction.execute(
                    "INSERT INTO text_vectors (encoder, text, vector) VALUES ($1, $2, $3)
                     ON CONFLICT (encoder, text) DO UPDATE SET vector = $3",
                    &[encoder.clone(), Value::Bytes(text.to_vec()), Value::Bytes(packed(vector))],
                )?;
            }
            Ok(())
        })
    }

    /// Lets vectors of other encoders go, and those of texts that no product has any more; `wanted` says which are.
    pub(crate) fn tidy(&self, wanted: &dyn Fn(&TextHash) -> bool) -> Result<u64, StoreError> {
        let encoder = Value::Text(self.encoder.clone());
        let mut gone = 0;
        let sql = "DELETE FROM text_vectors WHERE encoder <> $1";
        self.records.transaction(&mut |transaction| {
            gone = transaction.execute(sql, std::slice::from_ref(&encoder))?;
            Ok(())
        })?;
        let mut after: Vec<u8> = Vec::new();
        loop {
            let sql = "SELECT text FROM text_vectors WHERE encoder = $1 AND text > $2 ORDER BY text LIMIT $3";
            let values = [encoder.clone(), Value::Bytes(after.clone()), Value::Integer(10_000)];
            let rows = self.records.query(sql, &values)?;
            let texts: Vec<&Vec<u8>> = rows
                .iter()
                .filter_map(|row| match row.0.first() {
                    Some(Value::Bytes(text)) => Some(text),
                    _ => None,
                })
                .collect();
            let Some(last) = texts.last() else { return Ok(gone) };
            let unwanted =
                texts.iter().filter(|text| !TextHash::try_from(text.as_slice()).is_ok_and(|text| wanted(&text)));
            let unwanted: Vec<Value> = unwanted.map(|text| Value::Bytes(text.to_vec())).collect();
            gone += unwanted.len() as u64;
            self.records.transaction(&mut |transaction| {
                for text in &unwanted {
                    let sql = "DELETE FROM text_vectors WHERE encoder = $1 AND text = $2";
                    transaction.execute(sql, &[encoder.clone(), text.clone()])?;
                }
                Ok(())
            })?;
            after = last.to_vec();
        }
    }
}

fn packed(vector: &[f32]) -> Vec<u8> {
    let step = vector.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs())) / STEPS;
    let mut bytes = vec![FORMAT];
    bytes.extend(step.to_le_bytes());
    bytes.extend(vector.iter().map(|value| ((value / step).round() as i8).to_le_bytes()[0]));
    bytes
}

/// `None`: what an unknown format or a damaged row says is computed again.
fn unpacked(bytes: &[u8]) -> Option<Vec<f32>> {
    let (format, rest) = bytes.split_first()?;
    let (step, steps) = rest.split_first_chunk::<4>().filter(|_| *format == FORMAT)?;
    let step = f32::from_le_bytes(*step);
    merx_models::unit(steps.iter().map(|value| f32::from(i8::from_le_bytes([*value])) * step).collect())
}

#[cfg(test)]
mod tests {
    use merx_store::embedded::SqliteRecords;

    use super::*;

    fn table(records: &Arc<dyn Records>, encoder: &str) -> VectorTable {
        VectorTable::new(Arc::clone(records), encoder)
    }

    #[test]
    fn vectors_are_kept_by_encoder_and_text_and_tidied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.db");
        let records: Arc<dyn Records> = Arc::new(SqliteRecords::open(&path, &[super::super::MIGRATION]).unwrap());
        let (a, b) = (table(&records, "a"), table(&records, "b"));
        let vector = merx_models::unit((0..384).map(|at| ((at * 37 % 101) as f32 - 50.0) / 50.0).collect()).unwrap();
        let texts = ["lamp", "sofa"].map(hash_of);
        a.put(&[(texts[0], vector.clone()), (texts[1], vector.clone())]).unwrap();
        b.put(&[(texts[0], vector.clone())]).unwrap();
        let found = a.get(&texts).unwrap();
        let cosine: f32 = found[&texts[1]].iter().zip(&vector).map(|(a, b)| a * b).sum();
        assert!(cosine > 0.999 && found.len() == 2, "{cosine}");
        assert_eq!(b.get(&texts).unwrap().len(), 1);
        assert_eq!(a.tidy(&|text| *text == texts[1]).unwrap(), 2);
        assert!(b.get(&texts).unwrap().is_empty());
        let kept = a.get(&texts).unwrap();
        assert!(kept.len() == 1 && kept.contains_key(&texts[1]));
    }

    #[test]
    fn damaged_rows_are_no_vectors() {
        let good = packed(&[0.6, -0.8]);
        assert!(unpacked(&good).is_some());
        assert!(unpacked(&[]).is_none() && unpacked(&good[..3]).is_none() && unpacked(&good[..5]).is_none());
        assert!(unpacked(&[9, 0, 0, 0, 0, 1]).is_none());
    }
}
