//! Bytes of a model: a format number, then what postcard makes of the model's state.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ModelError;

/// `state` behind the number of its format.
pub(crate) fn encode<T: Serialize>(format: u16, state: &T) -> Vec<u8> {
    let bytes = format.to_le_bytes().to_vec();
    // Writing to memory fails for types only that postcard can't describe; no state of a model holds one, and an artifact
    // without a body is refused by `decode`.
    postcard::to_extend(state, bytes).unwrap_or_default()
}

/// The format number and the bytes behind it.
pub(crate) fn split<'a>(family: &str, bytes: &'a [u8]) -> Result<(u16, &'a [u8]), ModelError> {
    match bytes {
        [low, high, rest @ ..] => Ok((u16::from_le_bytes([*low, *high]), rest)),
        _ => Err(refused(family, 0, "too short")),
    }
}

/// A state that nothing follows.
pub(crate) fn decode<T: DeserializeOwned>(family: &str, format: u16, body: &[u8]) -> Result<T, ModelError> {
    let (state, rest) = postcard::take_from_bytes(body).map_err(|error| refused(family, format, &error.to_string()))?;
    if rest.is_empty() { Ok(state) } else { Err(refused(family, format, "bytes are left over")) }
}

pub(crate) fn refused(family: &str, format: u16, problem: &str) -> ModelError {
    ModelError::Artifact { family: family.to_owned(), format, problem: problem.to_owned() }
}
