//! How events lie on disk. Bytes begin with a format number; every format ever written stays readable, and has a
//! fixture in `tests/fixtures`.

use merx_domain::Event;

use crate::{Result, StoreError};

/// A form in which one process leaves something to another, in a store of the shop. Each room lists its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    pub name: &'static str,
    /// The oldest and the newest that is read.
    pub reads: (u16, u16),
    pub writes: u16,
}

pub const FORMATS: &[Format] = &[Format { name: "events", reads: (1, 1), writes: EVENT_FORMAT as u16 }];

/// Format 1: `[format u8 = 1][checksum 4 bytes][postcard(Event)]`.
const EVENT_FORMAT: u8 = 1;
const CHECKSUM_BYTES: usize = 4;

pub fn encode_event(event: &Event) -> Result<Vec<u8>> {
    let fail = |error: postcard::Error| StoreError::Unavailable { what: "event codec", detail: error.to_string() };
    let mut bytes = Vec::with_capacity(256);
    bytes.push(EVENT_FORMAT);
    bytes.extend([0; CHECKSUM_BYTES]);
    let mut bytes = postcard::to_extend(event, bytes).map_err(fail)?;
    let checksum = checksum(&bytes[1 + CHECKSUM_BYTES..]);
    bytes[1..=CHECKSUM_BYTES].copy_from_slice(&checksum);
    Ok(bytes)
}

pub fn decode_event(bytes: &[u8]) -> Result<Event> {
    let damaged = |detail: String| StoreError::Damaged { what: "event", detail };
    match bytes.split_first() {
        Some((&EVENT_FORMAT, rest)) if rest.len() >= CHECKSUM_BYTES => {
            let (found, body) = rest.split_at(CHECKSUM_BYTES);
            if found != checksum(body) {
                return Err(damaged("its checksum differs".into()));
            }
            postcard::from_bytes(body).map_err(|error| damaged(error.to_string()))
        }
        Some((format, _)) => Err(damaged(format!("unknown format {format} or too short"))),
        None => Err(damaged("empty".into())),
    }
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut first = [0; CHECKSUM_BYTES];
    first.copy_from_slice(&blake3::hash(body).as_bytes()[..CHECKSUM_BYTES]);
    first
}
