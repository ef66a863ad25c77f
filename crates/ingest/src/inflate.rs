//! Gzip with a bound, so that a small request can't unfold into all of memory.

use std::io::Read;

use flate2::read::MultiGzDecoder;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    #[error("the inflated body is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the body is not valid gzip: {detail}")]
    Invalid { detail: String },
}

/// Inflates a gzip body of at most `limit` bytes.
pub fn gunzip(body: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
    let mut inflated = Vec::with_capacity(limit.min(body.len().saturating_mul(4)));
    // One byte more than allowed tells a body of exactly the limit from a longer one.
    let mut bounded = MultiGzDecoder::new(body).take((limit as u64).saturating_add(1));
    bounded.read_to_end(&mut inflated).map_err(|error| InflateError::Invalid { detail: error.to_string() })?;
    if inflated.len() > limit {
        return Err(InflateError::TooLarge { limit });
    }
    Ok(inflated)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn inflates_up_to_the_limit_and_not_beyond() {
        let body = gzip(&[b' '; 10_000]);
        assert_eq!(gunzip(&body, 10_000).unwrap().len(), 10_000);
        assert_eq!(gunzip(&body, 9_999), Err(InflateError::TooLarge { limit: 9_999 }));
    }

    #[test]
    fn says_what_is_not_gzip() {
        assert!(matches!(gunzip(b"{}", 100), Err(InflateError::Invalid { .. })));
        let body = gzip(b"{\"batch\":[]}");
        assert!(matches!(gunzip(&body[..body.len() - 6], 100), Err(InflateError::Invalid { .. })));
    }
}
